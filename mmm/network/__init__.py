"""Virtual IPs, ARP announcements and ICMP; pyroute2 and scapy live only here."""

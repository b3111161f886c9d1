"""Virtual IPs, ARP announcements and ICMP; scapy lives only here."""

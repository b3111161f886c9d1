"""Every statement that MMM says to a server; PyMySQL lives only here."""

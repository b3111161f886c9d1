"""The ways to get a full copy of a donor's data: a table of small modules, and the choice among them.

donor = connection.ask(sides.look(connection, "db2"))    Side; that of here may be None: no server runs
choice = choose(here, donor, conf.providers)            Choice(provider, reasons): the first that is fit, and why not
came = choice.provider.fetch(job)                       Fetched | Failed, as `mmm.tools.fetch` has them
size = donor.size                                       bytes that a copy takes, more or less
"""

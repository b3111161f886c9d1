"""The ways to get a full copy of a donor's data: a table of small modules, and the choice among them.

here, donor = (connection.ask(sides.look(connection)) for connection in …)       Side; here may be None: no server
choice = choose(here, donor, conf.providers)          Choice(provider, reasons): the first that is fit, and why not
came = choice.provider.fetch(job)                     Fetched | Failed, as `mmm.tools.fetch` has them
size = donor.size                                     bytes that a copy takes, more or less
"""

"""What must be alike on both sides, whichever way the data comes. Pure."""

from mmm.tools.provider.sides import Side


def unlike(here: Side | None, donor: Side) -> str:
    """Return in what the two servers differ so that one cannot run on the other's data; empty where they do not."""
    if donor.outside:
        return f"{donor.name} has data outside of its data directory: {', '.join(donor.outside)}"
    if here is None:
        return ""
    if here.flavour.family != donor.flavour.family:
        return f"{here.name} runs {here.flavour.family}, {donor.name} {donor.flavour.family}"
    if here.series != donor.series:
        return f"{here.name} runs {here.version}, {donor.name} {donor.version}: not of one series"
    for what, ours, theirs in (
        ("innodb_page_size", here.page_size, donor.page_size),
        ("lower_case_table_names", here.lower_case_table_names, donor.lower_case_table_names),
    ):
        if ours != theirs:
            return f"{what} is {ours} on {here.name}, {theirs} on {donor.name}"
    if here.outside:
        return f"{here.name} has data outside of its data directory: {', '.join(here.outside)}"
    return ""

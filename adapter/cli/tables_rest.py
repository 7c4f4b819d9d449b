"""The tables of the REST interface: its routes, its roles, its errors."""

Lines = tuple[tuple[str, ...], ...]
"""A heading, then the rows."""


def routes() -> Lines:
    """Every route, in the order of the route table."""
    from adapter.web.api.routes import ANY, ROUTES

    def roles(route_roles: tuple[str, ...]) -> str:
        if not route_roles:
            return "no key"
        return "any" if route_roles == ANY else ", ".join(route_roles)

    rows = (
        (f"{each.method} {each.path}", roles(each.roles), each.summary, ", ".join(each.query))
        for each in ROUTES
    )
    return (("route", "role", "what it does", "query"), *rows)


def roles() -> Lines:
    """Every role, with how many routes it opens beyond those that any key may call."""
    from adapter.server.settings import Role
    from adapter.web.api.routes import ANY, ROUTES

    def opened(role: Role) -> str:
        if role is Role.METRICS:
            return "nothing; it reads `/metrics` alone"
        own = [each for each in ROUTES if role in each.roles and each.roles != ANY]
        first = dict.fromkeys(each.path.split("/")[3] for each in own)
        return ", ".join(first)

    return (("role", "what it changes"), *((each.value, opened(each)) for each in Role))


def problems() -> Lines:
    """Every status of a problem with its title."""
    from adapter.web.api.problems import TITLES

    return (("status", "title"), *((str(status), title) for status, title in TITLES.items()))


def mistakes() -> Lines:
    """Every mistake with its status and code."""
    from adapter.web.api.problems import MISTAKES

    rows = ((mistake, str(status), code) for mistake, status, code in MISTAKES)
    return (("mistake", "status", "code"), *rows)


def errors() -> Lines:
    """Every public error code of the gateway, with what it means."""
    from adapter import errors as module

    kinds = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, module.GatewayError)
    )
    meanings = dict(_tree(module.__doc__ or ""))
    rows = ((kind.code, kind.__name__, meanings.get(kind.__name__, "")) for kind in kinds)
    return (("code", "class", "meaning"), *rows)


def _tree(text: str) -> list[tuple[str, str]]:
    """Name and meaning of each line of the tree at the top of the errors."""
    found = []
    for line in text.splitlines():
        name, _, meaning = line.strip("│├└─ ").partition(" ")
        found.append((name, meaning.strip()))
    return found

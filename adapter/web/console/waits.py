"""What waits for people: the list, and one entry of it."""

from collections.abc import Mapping

from adapter.model.todo import TodoSubject
from adapter.web.api import todo
from adapter.web.console.view import PageView


async def load(view: PageView) -> Mapping[str, object]:
    found = await view.read(todo.TodoList, todo.list_todo, {"limit": "500", **view.query})
    return {"list": found, "subjects": tuple(TodoSubject)}


async def load_entry(view: PageView) -> Mapping[str, object]:
    return {"shown": await view.read_if_there(todo.TodoShown, todo.get_todo)}

"""The notices of a run, which its result keeps besides reporting them as events."""

from collections.abc import Callable

from dapkit.events import Event, Listener, Notice


def keep_notices(on_event: Listener, notices: list[str]) -> Callable[[Event], None]:
    """Return a listener that also adds notices to the list."""

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.message)
        on_event(event)

    return listen

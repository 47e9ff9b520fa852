"""The vendor's Python client with accounts of several providers of one user: each does its whole round, and they are read as one."""
import asyncio
import json
import sys

from mobiscroll_connect import MobiscrollConnectClient

from browser import authorize
from steps import DONE, WINDOW, Adapter, check, events, failures, series, utc

setting = json.loads(sys.argv[1])
REDIRECT = setting["redirect_uri"]
PROVIDERS = [name for name, _ in setting["accounts"]]
ORIGINAL = {
    "caldav": lambda native: "BEGIN:VEVENT" in native["ics"],
    "google": lambda native: native["kind"] == "calendar#event",
    "microsoft": lambda native: native["type"] == "singleInstance",
}


async def merged(call, calendars):
    """Events of all calendars, made in turns, come back in the order of their starts, however many a page has."""
    made = []
    for day in range(3, 12):
        calendar = calendars[PROVIDERS[day % len(PROVIDERS)]]
        where = {"provider": calendar.provider, "calendar_id": calendar.id}
        made.append(await call("events.create", {**where, "title": f"{calendar.provider} {day}", "start": utc(day), "end": utc(day, 10)}))
    wanted = [event.title for event in made]
    for size in (1, 2, 4, 100):
        page = await call("events.list", **WINDOW, page_size=size)
        seen = list(page)
        while page.has_more:
            page = await call("events.list", **WINDOW, page_size=size, next_page_token=page.next_page_token)
            seen += list(page)
        check(f"merged by pages of {size}", [event.title for event in seen], wanted)
    check("each of its provider", [event.provider for event in seen], [event.provider for event in made])
    some = PROVIDERS[:-1]
    chosen = await call("events.list", **WINDOW, calendar_ids={name: [calendars[name].id] for name in some})
    check("some of them", {event.provider for event in chosen}, set(some))
    for event in made:
        await call("events.delete", {"provider": event.provider, "calendar_id": event.calendar_id, "event_id": event.id})
    check("all gone", len(await call("events.list", **WINDOW)), 0)


async def main():
    with MobiscrollConnectClient(
        client_id=setting["client_id"], client_secret=setting["client_secret"], redirect_uri=REDIRECT, base_url=setting["base_url"],
    ) as client:
        call = Adapter(client)
        address = client.auth.generate_auth_url("side-by-side", state="s", providers=",".join(PROVIDERS))
        code, _ = authorize(address, REDIRECT, *setting["accounts"])
        await call("auth.get_token", code)
        status = await call("auth.get_connection_status")
        for name in PROVIDERS:
            check(f"{name} is connected", [account.sync_state for account in status.connections[name]], ["active"])
        calendars = {}
        for calendar in await call("calendars.list"):
            if calendar.title == setting["calendars"][calendar.provider]:
                calendars[calendar.provider] = calendar
        check("calendars of all", sorted(calendars), sorted(PROVIDERS))
        await merged(call, calendars)
        for name in PROVIDERS:
            await events(call, calendars[name], ORIGINAL[name])
            await series(call, calendars[name])
            await failures(call, calendars[name])
            print(name, "is done", len(DONE), file=sys.stderr)
        for name in PROVIDERS:
            check(f"{name} is disconnected", (await call("auth.disconnect", name)).success)
        status = await call("auth.get_connection_status")
        check("nothing is connected", [status.connections[name] for name in PROVIDERS], [[] for _ in PROVIDERS])
    print(len(DONE), "checks")


asyncio.run(main())

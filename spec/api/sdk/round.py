"""The vendor's own Python client, unmodified, against a server with a CalDAV account: its whole round, sync and async."""
import asyncio
import json
import sys

from mobiscroll_connect import AuthenticationError, MobiscrollConnectClient, TokenResponse
from mobiscroll_connect.aio import AsyncMobiscrollConnectClient

from browser import authorize
from steps import DONE, Adapter, check, events, failures, series

setting = json.loads(sys.argv[1])
REDIRECT = setting["redirect_uri"]
CLIENT = {
    "client_id": setting["client_id"], "client_secret": setting["client_secret"], "redirect_uri": REDIRECT,
    "base_url": setting["base_url"],
}


async def connect(client, call, user):
    address = client.auth.generate_auth_url(user, state="the state", providers="caldav", lng="de")
    code, state = authorize(address, REDIRECT, ("caldav", setting["account"]))
    check("state comes back", state, "the state")
    tokens = await call("auth.get_token", code)
    check("token type", tokens.token_type, "Bearer")
    check("lifetime", tokens.expires_in, 3600)
    check("a refresh token", bool(tokens.refresh_token))
    return tokens


async def reading(call):
    calendars = await call("calendars.list")
    check("calendars", {"Home", "Work"} <= {calendar.title for calendar in calendars})
    check("provider of the calendars", {calendar.provider for calendar in calendars}, {"caldav"})
    work = next(calendar for calendar in calendars if calendar.title == "Work")
    status = await call("auth.get_connection_status")
    account = status.connections["caldav"][0]
    check("connection status", (account.sync_state, status.limit_reached), ("active", False))
    check("the other providers", [status.connections[name] for name in ("google", "microsoft", "apple")], [[], [], []])
    return work, account


async def refreshing(client, call, tokens, kept):
    client.auth.set_credentials(TokenResponse("not.a.token", refresh_token=tokens.refresh_token))
    calendars = await call("calendars.list")
    check("a refused token is refreshed and the call repeated", len(calendars) >= 2)
    check("the application is told of the new tokens", len(kept), 1)
    check("the refresh token was rotated", kept[0].refresh_token != tokens.refresh_token)


async def ending(client, call, account, current):
    check("disconnect", (await call("auth.disconnect", "caldav", account=account.id)).success)
    status = await call("auth.get_connection_status")
    check("nothing is connected", status.connections["caldav"], [])
    check("no calendars", await call("calendars.list"), [])
    client.auth.set_credentials(TokenResponse("not.a.token", refresh_token="neither"))
    try:
        await call("calendars.list")
    except AuthenticationError:
        check("tokens that nobody issued", True)
    client.auth.set_credentials(current)


async def round_of(client, user, kept):
    call = Adapter(client)
    tokens = await connect(client, call, user)
    work, account = await reading(call)
    await events(call, work, lambda native: "BEGIN:VEVENT" in native["ics"])
    await series(call, work)
    await failures(call, work)
    await refreshing(client, call, tokens, kept)
    await ending(client, call, account, kept[0])


async def main():
    kept = []
    with MobiscrollConnectClient(**CLIENT, on_tokens_refreshed=kept.append) as client:
        await round_of(client, "sdk-user", kept)
    kept = []
    async with AsyncMobiscrollConnectClient(**CLIENT, on_tokens_refreshed=kept.append) as client:
        await round_of(client, "sdk-async-user", kept)
    print(len(DONE), "checks")


asyncio.run(main())

"""The vendor's google-api-python-client, unmodified: its own (static) discovery documents, a base address of the emulator."""
import json
import sys
import urllib.request

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest

setting = json.loads(sys.argv[1])
URL = setting["url"]
ALICE, BOB = "alice@example.com", "bob@example.com"
done = 0


def check(what, got, wanted=True):
    global done
    done += 1
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"


def refused(what, status, reason, request):
    global done
    done += 1
    try:
        answer = request.execute()
    except HttpError as error:
        told = json.loads(error.content)["error"]
        details = told.get("details") or [{}]
        found = [told.get("errors", [{}])[0].get("reason"), details[0].get("reason"), told.get("status")]
        assert error.status_code == status and reason in found, f"{what}: {error.status_code} {told}, not {status} {reason}"
        return
    raise AssertionError(f"{what}: taken: {answer}")


def service(name, version, path, token):
    return build(name, version, credentials=Credentials(token), static_discovery=True, client_options={"api_endpoint": URL + path})


def control(path, **body):
    request = urllib.request.Request(URL + "/_emulator" + path, method="POST", data=json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def berlin(text):
    return {"dateTime": text, "timeZone": "Europe/Berlin"}


alice = service("calendar", "v3", "/calendar/v3/", setting["tokens"]["alice"])
bob = service("calendar", "v3", "/calendar/v3/", setting["tokens"]["bob"])


def calendars():
    listed = alice.calendarList().list().execute()
    check("the primary calendar", [(one["id"], one["primary"]) for one in listed["items"]], [(ALICE, True)])
    team = alice.calendars().insert(body={"summary": "Team"}).execute()
    check("in the user's zone", team["timeZone"], "Europe/Berlin")
    check("patched", alice.calendars().patch(calendarId=team["id"], body={"location": "Berlin"}).execute()["location"], "Berlin")
    check("updated", "location" in alice.calendars().update(calendarId=team["id"], body={"summary": "T"}).execute(), False)
    check("read", alice.calendars().get(calendarId=team["id"]).execute()["summary"], "T")
    entry = alice.calendarList().patch(calendarId=team["id"], body={"colorId": "3"}).execute()
    check("its colour", entry["backgroundColor"], alice.colors().get().execute()["calendar"]["3"]["background"])
    check("its entry replaced", alice.calendarList().update(calendarId=team["id"], body={"selected": True}).execute()["colorId"], "14")
    changed = alice.calendarList().list(syncToken=listed["nextSyncToken"]).execute()
    check("what changed", [one["id"] for one in changed["items"]], [team["id"]])
    rule = alice.acl().insert(calendarId=team["id"], body={"role": "writer", "scope": {"type": "user", "value": BOB}}).execute()
    check("a rule", alice.acl().get(calendarId=team["id"], ruleId=rule["id"]).execute()["role"], "writer")
    check("bob's list", bob.calendarList().insert(body={"id": team["id"]}).execute()["accessRole"], "writer")
    check("bob's entry", bob.calendarList().get(calendarId=team["id"]).execute()["summary"], "T")
    check("rules", len(alice.acl().list(calendarId=team["id"]).execute()["items"]), 2)
    check("a rule patched", alice.acl().patch(calendarId=team["id"], ruleId=rule["id"], body={"role": "reader"}).execute()["role"], "reader")
    body = {"role": "owner", "scope": {"type": "user", "value": BOB}}
    check("a rule updated", alice.acl().update(calendarId=team["id"], ruleId=rule["id"], body=body).execute()["role"], "owner")
    alice.acl().delete(calendarId=team["id"], ruleId=rule["id"]).execute()
    bob.calendarList().delete(calendarId=team["id"]).execute()
    refused("no more", 404, "notFound", bob.calendars().get(calendarId=team["id"]))
    check("settings", alice.settings().get(setting="locale").execute()["value"], "en_GB")
    check("all settings", "weekStart" in [one["id"] for one in alice.settings().list().execute()["items"]])
    alice.calendars().delete(calendarId=team["id"]).execute()
    refused("deleted", 404, "notFound", alice.calendars().get(calendarId=team["id"]))


def single():
    events = alice.events()
    body = {"id": "viper0001", "summary": "Review", "start": berlin("2025-06-02T12:00:00"), "end": berlin("2025-06-02T13:00:00"), "attendees": [{"email": BOB}]}
    made = events.insert(calendarId="primary", body=body, sendUpdates="all").execute()
    check("made", (made["status"], made["iCalUID"], made["eventType"]), ("confirmed", "viper0001@google.com", "default"))
    refused("twice", 409, "duplicate", events.insert(calendarId="primary", body=body))
    refused("a bad id", 400, "invalid", events.insert(calendarId="primary", body={**body, "id": "UPPER-CASE"}))
    check("defaults are left out", sorted({"transparency", "visibility", "guestsCanModify", "location"} & set(made)), [])
    mine = bob.events().get(calendarId="primary", eventId="viper0001").execute()
    check("bob is invited", [(one["self"], one["responseStatus"]) for one in mine["attendees"]], [(True, "needsAction")])
    answer = {"attendees": [{"email": BOB, "responseStatus": "declined", "comment": "Away"}], "attendeesOmitted": True}
    bob.events().patch(calendarId="primary", eventId="viper0001", body=answer).execute()
    seen = events.get(calendarId="primary", eventId="viper0001").execute()
    check("his answer", [(one["responseStatus"], one["comment"]) for one in seen["attendees"]], [("declined", "Away")])
    request = events.update(calendarId="primary", eventId="viper0001", body={**seen, "summary": "Retro"})
    request.headers["If-Match"] = made["etag"]
    refused("an old version", 412, "conditionNotMet", request)
    check("updated", events.update(calendarId="primary", eventId="viper0001", body={**seen, "summary": "Retro"}).execute()["summary"], "Retro")
    patched = events.patch(calendarId="primary", eventId="viper0001", body={"start": {"date": "2025-06-02", "dateTime": None, "timeZone": None},
                           "end": {"date": "2025-06-03", "dateTime": None, "timeZone": None}}).execute()
    check("all day", (patched["start"], patched["end"]), ({"date": "2025-06-02"}, {"date": "2025-06-03"}))
    refused("half a day", 400, "invalid", events.patch(calendarId="primary", eventId="viper0001", body={"start": {"date": None, **berlin("2025-06-02T12:00:00")}}))
    other = alice.calendars().insert(body={"summary": "Other"}).execute()
    moved = events.move(calendarId="primary", eventId="viper0001", destination=other["id"]).execute()
    check("moved", moved["organizer"]["email"], other["id"])
    events.delete(calendarId=other["id"], eventId="viper0001").execute()
    refused("gone", 410, "deleted", events.delete(calendarId=other["id"], eventId="viper0001"))
    quick = events.quickAdd(calendarId="primary", text="Tea 2025-06-04 3pm").execute()
    check("quickly", (quick["summary"], quick["start"]["dateTime"]), ("Tea", "2025-06-04T15:00:00+02:00"))
    imported = {"iCalUID": "x@y", "start": {"date": "2025-06-05"}, "end": {"date": "2025-06-06"}}
    check("imported", getattr(events, "import_")(calendarId="primary", body=imported).execute()["iCalUID"], "x@y")
    meet = {"start": berlin("2025-06-06T09:00:00"), "end": berlin("2025-06-06T10:00:00"), "conferenceData": {"createRequest": {"requestId": "p1"}}}
    first = events.insert(calendarId="primary", body=meet, conferenceDataVersion=1).execute()
    check("pending", first["conferenceData"]["createRequest"]["status"], {"statusCode": "pending"})
    check("done", events.get(calendarId="primary", eventId=first["id"]).execute()["hangoutLink"].startswith("https://meet.google.com/"))
    check("without the version it is not seen", "conferenceData" in events.insert(calendarId="primary", body=meet).execute(), False)


def series():
    events = alice.events()
    start = events.list(calendarId="primary").execute()["nextSyncToken"]
    body = {"id": "serial1", "start": {"dateTime": "2025-11-01T23:30:00", "timeZone": "America/New_York"},
            "end": {"dateTime": "2025-11-02T00:30:00", "timeZone": "America/New_York"}, "recurrence": ["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;TZID=America/New_York:20251102T233000"]}
    events.insert(calendarId="primary", body=body).execute()
    found = events.instances(calendarId="primary", eventId="serial1", timeZone="America/New_York").execute()["items"]
    check("instances", [(one["id"], one["start"]["dateTime"], one["originalStartTime"]["timeZone"]) for one in found], [
        ("serial1_20251102T033000Z", "2025-11-01T23:30:00-04:00", "America/New_York"),
        ("serial1_20251104T043000Z", "2025-11-03T23:30:00-05:00", "America/New_York"),
    ])
    events.patch(calendarId="primary", eventId="serial1_20251104T043000Z", body={"summary": "Last"}).execute()
    changed = events.list(calendarId="primary", syncToken=start).execute()["items"]
    check("changed", sorted(one["id"] for one in changed), ["serial1", "serial1_20251104T043000Z"])
    refused("no time zone", 400, "required", events.insert(calendarId="primary", body={"start": {"dateTime": "2025-11-01T10:00:00Z"},
            "end": {"dateTime": "2025-11-01T11:00:00Z"}, "recurrence": ["RRULE:FREQ=DAILY"]}))
    pages, request = [], events.list(calendarId="primary", maxResults=2, singleEvents=True)
    while request is not None:
        answer = request.execute()
        pages.append(len(answer["items"]))
        request = events.list_next(request, answer)
    check("pages", (pages[:-1], "nextSyncToken" in answer), ([2] * (len(pages) - 1), True))
    control("/expire")
    refused("the token's time is over", 410, "fullSyncRequired", events.list(calendarId="primary", syncToken=start))
    query = {"timeMin": "2025-06-06T00:00:00Z", "timeMax": "2025-06-07T00:00:00Z", "timeZone": "Europe/Berlin", "items": [{"id": ALICE}]}
    free = alice.freebusy().query(body=query).execute()
    check("busy", free["calendars"][ALICE]["busy"], [{"start": "2025-06-06T09:00:00+02:00", "end": "2025-06-06T10:00:00+02:00"}])
    alice.calendars().clear(calendarId="primary").execute()


def channels():
    address = "http://127.0.0.1:9/nobody"
    watched = [alice.events().watch(calendarId="primary", body={"id": "p-1", "type": "web_hook", "address": address}),
               alice.acl().watch(calendarId="primary", body={"id": "p-2", "type": "web_hook", "address": address}),
               alice.calendarList().watch(body={"id": "p-3", "type": "web_hook", "address": address}),
               alice.settings().watch(body={"id": "p-4", "type": "web_hook", "address": address})]
    for request in watched:
        channel = request.execute()
        check("a channel", channel["kind"], "api#channel")
        alice.channels().stop(body={"id": channel["id"], "resourceId": channel["resourceId"]}).execute()
    refused("not https", 400, "push.webhookUrlNotHttps", alice.events().watch(
        calendarId="primary", body={"id": "p-5", "type": "web_hook", "address": "http://example.com/hook"}))


def batches():
    answers = {}
    batch = BatchHttpRequest(callback=lambda key, answer, error: answers.__setitem__(key, error.status_code if error else answer), batch_uri=URL + "/batch/calendar/v3")
    batch.add(alice.events().insert(calendarId="primary", body={"id": "batch001", "start": {"date": "2025-06-05"}, "end": {"date": "2025-06-06"}}), request_id="one")
    batch.add(alice.events().get(calendarId="primary", eventId="nothing1"), request_id="two")
    batch.add(bob.calendarList().list(), request_id="three")
    batch.execute()
    check("each its own", (answers["one"]["id"], answers["two"], answers["three"]["items"][0]["id"]), ("batch001", 404, BOB))


def contacts():
    people = service("people", "v1", "", setting["tokens"]["alice"]).people()
    me = {"resourceName": "people/me", "personFields": "names,emailAddresses,metadata"}
    token = people.connections().list(**me, requestSyncToken=True).execute()["nextSyncToken"]
    ada = people.createContact(body={"names": [{"givenName": "Ada"}], "emailAddresses": [{"value": "ada@x.test"}]}).execute()
    check("made", ada["names"][0]["displayName"], "Ada")
    body = {"etag": ada["etag"], "metadata": {"sources": ada["metadata"]["sources"]}, "names": [{"givenName": "Ada", "familyName": "King"}]}
    check("updated", people.updateContact(resourceName=ada["resourceName"], updatePersonFields="names", body=body).execute()["names"][0]["displayName"], "Ada King")
    refused("again", 400, "FAILED_PRECONDITION", people.updateContact(resourceName=ada["resourceName"], updatePersonFields="names", body=body))
    changed = people.connections().list(**me, syncToken=token).execute()
    check("changed", [one["names"][0]["familyName"] for one in changed["connections"]], ["King"])
    check("got", people.get(resourceName=ada["resourceName"], personFields="emailAddresses").execute()["emailAddresses"][0]["value"], "ada@x.test")
    people.searchContacts(query="", readMask="names").execute()
    check("found", len(people.searchContacts(query="kin", readMask="names").execute()["results"]), 1)
    made = people.batchCreateContacts(body={"readMask": "names", "contacts": [{"contactPerson": {"names": [{"givenName": "Bea"}]}}]}).execute()
    bea = made["createdPeople"][0]["person"]
    names = [bea["resourceName"]]
    body = {"updateMask": "nicknames", "readMask": "names,nicknames", "contacts": {names[0]: {"etag": bea["etag"], "nicknames": [{"value": "B"}]}}}
    result = people.batchUpdateContacts(body=body).execute()["updateResult"][names[0]]["person"]
    check("updated together", (result["nicknames"][0]["value"], result["names"][0]["givenName"]), ("B", "Bea"))
    check("together", len(people.getBatchGet(resourceNames=names + [ada["resourceName"]], personFields="names").execute()["responses"]), 2)
    people.batchDeleteContacts(body={"resourceNames": names}).execute()
    check("deleted", people.deleteContact(resourceName=ada["resourceName"]).execute(), {})
    last = people.connections().list(**me, syncToken=changed["nextSyncToken"]).execute()
    check("told", all(one["metadata"]["deleted"] for one in last["connections"]) and len(last["connections"]), 2)
    control("/expire")
    refused("over", 400, "EXPIRED_SYNC_TOKEN", people.connections().list(**me, syncToken=changed["nextSyncToken"]))
    sources = ["DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE"]
    check("colleagues", len(people.listDirectoryPeople(sources=sources, readMask="names").execute()["people"]), 2)
    check("one", len(people.searchDirectoryPeople(sources=sources, readMask="names", query="al").execute()["people"]), 1)
    control("/other-contacts", user=ALICE, email="dora@elsewhere.test")
    others = service("people", "v1", "", setting["tokens"]["alice"]).otherContacts()
    others.search(query="", readMask="emailAddresses").execute()
    check("one met", len(others.search(query="dora", readMask="emailAddresses").execute()["results"]), 1)
    dora = others.list(readMask="emailAddresses").execute()["otherContacts"][0]
    copied = others.copyOtherContactToMyContactsGroup(resourceName=dora["resourceName"], body={"copyMask": "emailAddresses"}).execute()
    check("copied", copied["emailAddresses"][0]["value"], "dora@elsewhere.test")


def rooms():
    admin = service("admin", "directory_v1", "", setting["tokens"]["alice"])
    resources, mine = admin.resources(), {"customer": "my_customer"}
    resources.buildings().insert(**mine, body={"buildingId": "B", "buildingName": "B", "floorNames": ["1"]}).execute()
    body = {"resourceId": "r1", "resourceName": "Ada", "capacity": 4, "buildingId": "B", "floorName": "1", "resourceCategory": "CONFERENCE_ROOM"}
    room = resources.calendars().insert(**mine, body=body).execute()
    check("a room", room["generatedResourceName"], "B-1-Ada (4)")
    when = {"start": berlin("2025-09-01T10:00:00"), "end": berlin("2025-09-01T11:00:00"), "attendees": [{"email": room["resourceEmail"]}]}
    booked = [alice.events().insert(calendarId="primary", body=when).execute()["attendees"][0] for _ in range(2)]
    check("it accepts once", [(one["resource"], one["responseStatus"]) for one in booked], [(True, "accepted"), (True, "declined")])
    query = {"timeMin": "2025-09-01T00:00:00Z", "timeMax": "2025-09-02T00:00:00Z", "items": [{"id": room["resourceEmail"]}]}
    busy = alice.freebusy().query(body=query).execute()["calendars"][room["resourceEmail"]]["busy"]
    check("and is busy", busy, [{"start": "2025-09-01T08:00:00Z", "end": "2025-09-01T09:00:00Z"}])
    check("patched", resources.calendars().patch(**mine, calendarResourceId="r1", body={"capacity": 5}).execute()["capacity"], 5)
    check("updated", resources.calendars().update(**mine, calendarResourceId="r1", body={**body, "resourceName": "Bea"}).execute()["resourceName"], "Bea")
    check("listed", [one["resourceName"] for one in resources.calendars().list(**mine, query="capacity=4").execute()["items"]], ["Bea"])
    check("got", resources.calendars().get(**mine, calendarResourceId="r1").execute()["resourceEmail"], room["resourceEmail"])
    resources.calendars().delete(**mine, calendarResourceId="r1").execute()
    check("deleted", "items" in resources.calendars().list(**mine).execute(), False)


for part in (calendars, single, series, channels, batches, contacts, rooms):
    part()
print(f"{done} checks")

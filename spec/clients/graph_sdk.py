# The vendor's msgraph-sdk, unmodified but for its base URL and a credential of its own, goes through the emulated Graph: what it reads
# is typed, so an answer of another shape than the service's does not come through.
import asyncio
import datetime
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import httpx
from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.attendee import Attendee
from msgraph.generated.models.attendee_type import AttendeeType
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.calendar import Calendar
from msgraph.generated.models.calendar_color import CalendarColor
from msgraph.generated.models.calendar_group import CalendarGroup
from msgraph.generated.models.calendar_permission import CalendarPermission
from msgraph.generated.models.calendar_role_type import CalendarRoleType
from msgraph.generated.models.contact import Contact
from msgraph.generated.models.contact_folder import ContactFolder
from msgraph.generated.models.date_time_time_zone import DateTimeTimeZone
from msgraph.generated.models.day_of_week import DayOfWeek
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.event import Event
from msgraph.generated.models.event_type import EventType
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.free_busy_status import FreeBusyStatus
from msgraph.generated.models.exchange_id_format import ExchangeIdFormat
from msgraph.generated.models.item_attachment import ItemAttachment
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.online_meeting_provider_type import OnlineMeetingProviderType
from msgraph.generated.models.open_type_extension import OpenTypeExtension
from msgraph.generated.models.category_color import CategoryColor
from msgraph.generated.models.outlook_category import OutlookCategory
from msgraph.generated.models.patterned_recurrence import PatternedRecurrence
from msgraph.generated.models.physical_address import PhysicalAddress
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.models.recurrence_pattern import RecurrencePattern
from msgraph.generated.models.recurrence_pattern_type import RecurrencePatternType
from msgraph.generated.models.recurrence_range import RecurrenceRange
from msgraph.generated.models.recurrence_range_type import RecurrenceRangeType
from msgraph.generated.models.response_type import ResponseType
from msgraph.generated.models.single_value_legacy_extended_property import SingleValueLegacyExtendedProperty
from msgraph.generated.models.subscription import Subscription
from msgraph.generated.models.week_index import WeekIndex
from msgraph.generated.users.item.calendar.get_schedule.get_schedule_post_request_body import GetSchedulePostRequestBody
from msgraph.generated.users.item.calendar_view.calendar_view_request_builder import CalendarViewRequestBuilder
from msgraph.generated.users.item.calendar_view.delta.delta_request_builder import DeltaRequestBuilder
from msgraph.generated.users.item.events.events_request_builder import EventsRequestBuilder
from msgraph.generated.users.item.events.item.accept.accept_post_request_body import AcceptPostRequestBody
from msgraph.generated.users.item.events.item.cancel.cancel_post_request_body import CancelPostRequestBody
from msgraph.generated.users.item.events.item.decline.decline_post_request_body import DeclinePostRequestBody
from msgraph.generated.users.item.events.item.event_item_request_builder import EventItemRequestBuilder
from msgraph.generated.users.item.events.item.forward.forward_post_request_body import ForwardPostRequestBody
from msgraph.generated.users.item.events.item.instances.instances_request_builder import InstancesRequestBuilder
from msgraph.generated.users.item.events.item.tentatively_accept.tentatively_accept_post_request_body import TentativelyAcceptPostRequestBody
from msgraph.generated.users.item.find_meeting_times.find_meeting_times_post_request_body import FindMeetingTimesPostRequestBody
from msgraph.generated.users.item.translate_exchange_ids.translate_exchange_ids_post_request_body import TranslateExchangeIdsPostRequestBody
from msgraph.generated.models.mailbox_settings import MailboxSettings
from msgraph.generated.models.time_constraint import TimeConstraint
from msgraph.generated.models.time_slot import TimeSlot
from msgraph.generated.models.activity_domain import ActivityDomain
from msgraph_core.requests.batch_request_content import BatchRequestContent

setting = json.loads(sys.argv[1])
ALICE, BOB, ZONE = "alice@example.com", "bob@example.com", "W. Europe Standard Time"
done = 0


def check(what, got, wanted=True):
    global done
    done += 1
    if got != wanted:
        raise AssertionError(f"{what}: {got!r}, not {wanted!r}")


class Credential:
    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **_):
        return AccessToken(self.token, 4102444800)


def client(token):
    provider = AzureIdentityAuthenticationProvider(Credential(token), scopes=["Calendars.ReadWrite"], allowed_hosts=[urlparse(setting["url"]).hostname])
    from msgraph.graph_request_adapter import options
    from msgraph_core import GraphClientFactory
    http = GraphClientFactory.create_with_default_middleware(
        client=httpx.AsyncClient(verify=setting["ca"], http2=True, base_url=setting["url"] + "/v1.0"), options=options)
    adapter = GraphRequestAdapter(provider, client=http)
    adapter.base_url = setting["url"] + "/v1.0"
    return GraphServiceClient(request_adapter=adapter)


def at(text, zone=ZONE):
    return DateTimeTimeZone(date_time=text, time_zone=zone)


def configured(parameters=None, **headers):
    out = RequestConfiguration(query_parameters=parameters)
    for name, value in headers.items():
        out.headers.add(name.replace("_", "-"), value)
    return out


async def refused(what, status, code, call):
    try:
        await call
    except ODataError as error:
        check(what, (error.response_status_code, error.error.code), (status, code))
        check(what + ": when", error.error.inner_error.date is not None)
        return
    raise AssertionError(what + ": taken")


def control(path, body=None):
    reply = httpx.request("GET" if body is None else "POST", setting["url"] + "/_emulator/" + path, verify=setting["ca"],
                          content=None if body is None else json.dumps(body))
    return reply.json() if reply.content else None


async def calendars(alice):
    me = await alice.me.get()
    check("me", (me.display_name, me.mail), ("Alice", ALICE))
    group = await alice.me.calendar_groups.post(CalendarGroup(name="Projects"))
    made = await alice.me.calendar_groups.by_calendar_group_id(group.id).calendars.post(Calendar(name="Moon", color=CalendarColor.LightBlue))
    check("a calendar", (made.name, made.color, made.hex_color, made.can_edit), ("Moon", CalendarColor.LightBlue, "#a6d1f5", True))
    check("renamed", (await alice.me.calendars.by_calendar_id(made.id).patch(Calendar(name="Mars"))).name, "Mars")
    main = await alice.me.calendar.get()
    check("the default one", (main.is_default_calendar, main.allowed_online_meeting_providers), (True, [OnlineMeetingProviderType.TeamsForBusiness]))
    shared = await alice.me.calendar.calendar_permissions.post(
        CalendarPermission(role=CalendarRoleType.Read, email_address=EmailAddress(address=BOB, name="Bob")))
    check("shared", (shared.role, shared.is_removable), (CalendarRoleType.Read, True))
    settings = await alice.me.mailbox_settings.patch(MailboxSettings(time_zone=ZONE))
    check("settings", (settings.time_zone, settings.working_hours.start_time), (ZONE, datetime.time(8, 0)))
    zones = await alice.me.outlook.supported_time_zones.get()
    check("zones", ZONE in [zone.alias for zone in zones.value])
    return made


async def events(alice, bob, other):
    made = await alice.me.events.post(Event(
        subject="Lunch", start=at("2025-03-28T12:00:00"), end=at("2025-03-28T13:00:00"), transaction_id="7e163156-7762-4beb-a1c6-729ea81755a7",
        body=ItemBody(content_type=BodyType.Html, content="<p>Pasta</p>"), categories=["Travel"], show_as=FreeBusyStatus.Oof), configured(prefer=f'outlook.timezone="{ZONE}"'))
    check("made", (made.subject, made.start.date_time, made.start.time_zone, made.type, made.show_as),
          ("Lunch", "2025-03-28T12:00:00.0000000", ZONE, EventType.SingleInstance, FreeBusyStatus.Oof))
    check("when", abs((made.created_date_time - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) < 60)
    one = alice.me.events.by_event_id(made.id)
    text = await one.get(configured(prefer='outlook.body-content-type="text"'))
    check("text, in UTC", (text.body.content_type, text.body.content, text.start.date_time), (BodyType.Text, "Pasta", "2025-03-28T11:00:00.0000000"))
    changed = await one.patch(Event(subject="Long lunch"), configured(if_match=text.additional_data["@odata.etag"]))
    check("changed", changed.subject, "Long lunch")
    await refused("by an old etag", 412, "ErrorIrresolvableConflict", one.patch(Event(subject="x"), configured(if_match=text.additional_data["@odata.etag"])))
    parameters = EventsRequestBuilder.EventsRequestBuilderGetQueryParameters(filter="categories/any(c:c eq 'Travel')", select=["subject"], count=True, top=5)
    found = await alice.me.events.get(configured(parameters))
    check("found", (found.odata_count, [each.subject for each in found.value]), (1, ["Long lunch"]))
    seen = await bob.users.by_user_id(ALICE).calendar.get()
    check("seen by another", (seen.owner.address, seen.can_edit), (ALICE, False))
    await refused("not changed by another", 403, "ErrorAccessDenied", bob.users.by_user_id(ALICE).events.post(Event(
        subject="x", start=at("2025-03-28T12:00:00"), end=at("2025-03-28T13:00:00"))))
    elsewhere = await alice.me.calendars.by_calendar_id(other.id).events.post(Event(subject="There", start=at("2025-03-28T12:00:00"), end=at("2025-03-28T13:00:00")))
    check("in its calendar", [each.id for each in (await alice.me.calendars.by_calendar_id(other.id).events.get()).value], [elsewhere.id])
    await one.delete()
    await refused("deleted", 404, "ErrorItemNotFound", one.get())


async def series(alice):
    master = await alice.me.events.post(Event(
        subject="First working day", start=at("2025-03-03T09:00:00"), end=at("2025-03-03T09:30:00"), recurrence=PatternedRecurrence(
            pattern=RecurrencePattern(type=RecurrencePatternType.RelativeMonthly, interval=1, index=WeekIndex.First, days_of_week=[
                DayOfWeek.Monday, DayOfWeek.Tuesday, DayOfWeek.Wednesday, DayOfWeek.Thursday, DayOfWeek.Friday]),
            range=RecurrenceRange(type=RecurrenceRangeType.Numbered, start_date=datetime.date(2025, 3, 3), number_of_occurrences=4))))
    check("a master", (master.type, master.recurrence.pattern.index, master.recurrence.range.number_of_occurrences), (EventType.SeriesMaster, WeekIndex.First, 4))
    window = InstancesRequestBuilder.InstancesRequestBuilderGetQueryParameters(start_date_time="2025-01-01T00:00:00Z", end_date_time="2026-01-01T00:00:00Z")
    instances = alice.me.events.by_event_id(master.id).instances
    found = (await instances.get(configured(window))).value
    check("its days", [each.start.date_time[:16] for each in found], ["2025-03-03T08:00", "2025-04-01T07:00", "2025-05-01T07:00", "2025-06-02T07:00"])
    check("an occurrence", (found[1].type, found[1].series_master_id, found[1].original_start), (
        EventType.Occurrence, master.id, datetime.datetime(2025, 4, 1, 7, tzinfo=datetime.timezone.utc)))
    moved = await alice.me.events.by_event_id(found[1].id).patch(Event(start=at("2025-04-02T09:00:00"), end=at("2025-04-02T09:30:00")))
    check("an exception", (moved.type, moved.start.date_time), (EventType.Exception, "2025-04-02T07:00:00.0000000"))
    await refused("over a neighbour", 400, "ErrorOccurrenceCrossingBoundary",
                  alice.me.events.by_event_id(found[1].id).patch(Event(start=at("2025-05-01T09:00:00"), end=at("2025-05-01T09:30:00"))))
    await alice.me.events.by_event_id(found[2].id).delete()
    again = await alice.me.events.by_event_id(master.id).get(configured(
        EventItemRequestBuilder.EventItemRequestBuilderGetQueryParameters(expand=["exceptionOccurrences"])))
    check("the master knows", (again.cancelled_occurrences, [each.id for each in again.exception_occurrences]), ([f"OID.{master.id}.2025-05-01"], [found[1].id]))
    await alice.me.events.by_event_id(master.id).delete()


async def delta(alice):
    event = await alice.me.events.post(Event(subject="Tracked", start=at("2026-02-10T09:00:00"), end=at("2026-02-10T10:00:00")))
    window = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(start_date_time="2026-02-01T00:00:00Z", end_date_time="2026-03-01T00:00:00Z")
    builder = alice.me.calendar_view.delta
    first = await builder.get(configured(window, prefer="odata.maxpagesize=5"))
    check("a first round", ([each.id for each in first.value], first.odata_next_link), ([event.id], None))
    view = await alice.me.calendar_view.get(configured(CalendarViewRequestBuilder.CalendarViewRequestBuilderGetQueryParameters(
        start_date_time="2026-02-01T00:00:00Z", end_date_time="2026-03-01T00:00:00Z")))
    check("the view", [each.subject for each in view.value], ["Tracked"])
    await alice.me.events.by_event_id(event.id).delete()
    then = await builder.with_url(first.odata_delta_link).get()
    check("removed", [(each.id, each.additional_data["@removed"]["reason"]) for each in then.value], [(event.id, "deleted")])
    control("forget", {})
    await refused("a lost state", 410, "SyncStateNotFound", builder.with_url(first.odata_delta_link).get())


async def meetings(alice, bob):
    guest = Attendee(type=AttendeeType.Required, email_address=EmailAddress(address=BOB, name="Bob"))
    meeting = await alice.me.events.post(Event(subject="Review", start=at("2025-09-01T09:00:00"), end=at("2025-09-01T10:00:00"), attendees=[guest],
                                               is_online_meeting=True, online_meeting_provider=OnlineMeetingProviderType.TeamsForBusiness))
    check("online", meeting.online_meeting.join_url.startswith("https://teams.microsoft.com/"))
    mine = configured(EventsRequestBuilder.EventsRequestBuilderGetQueryParameters(filter=f"iCalUId eq '{meeting.i_cal_u_id}'"))
    copy = (await bob.me.events.get(mine)).value[0]
    check("a copy", (copy.is_organizer, copy.response_status.response), (False, ResponseType.NotResponded))
    theirs = bob.me.events.by_event_id(copy.id)

    async def answer():
        return (await alice.me.events.by_event_id(meeting.id).get()).attendees[0].status.response
    await theirs.tentatively_accept.post(TentativelyAcceptPostRequestBody(comment="Perhaps", send_response=True))
    check("perhaps", await answer(), ResponseType.TentativelyAccepted)
    await theirs.accept.post(AcceptPostRequestBody(comment="Yes", send_response=True))
    check("yes", await answer(), ResponseType.Accepted)
    await refused("not by the guest", 400, "ErrorInvalidRequest", theirs.cancel.post(CancelPostRequestBody(comment="x")))
    await theirs.decline.post(DeclinePostRequestBody(comment="No", send_response=True, proposed_new_time=TimeSlot(
        start=at("2025-09-02T09:00:00"), end=at("2025-09-02T10:00:00"))))
    declined = (await alice.me.events.by_event_id(meeting.id).get()).attendees[0]
    check("no, but then", (declined.status.response, declined.proposed_new_time.start.date_time), (ResponseType.Declined, "2025-09-02T09:00:00"))
    await alice.me.events.by_event_id(meeting.id).forward.post(ForwardPostRequestBody(
        comment="Look", to_recipients=[Recipient(email_address=EmailAddress(address="carol@example.net"))]))
    await alice.me.events.by_event_id(meeting.id).cancel.post(CancelPostRequestBody(comment="Off"))
    check("told", [mail["kind"] for mail in control("mail")["mail"]][-2:], ["forward", "cancellation"])
    await bob.me.events.post(Event(subject="Busy", start=at("2025-10-06T10:00:00"), end=at("2025-10-06T11:00:00")))
    free = await alice.me.calendar.get_schedule.post(GetSchedulePostRequestBody(
        schedules=[BOB, "nobody@example.com"], start_time=at("2025-10-06T09:00:00"), end_time=at("2025-10-06T12:00:00"), availability_view_interval=60))
    check("free and busy", (free.value[0].availability_view, free.value[0].schedule_items[0].status, free.value[1].error.response_code),
          ("020", FreeBusyStatus.Busy, "ErrorMailRecipientNotFound"))
    # without a duration: the client writes one as "1:00:00", which is no Edm.Duration
    times = await alice.me.find_meeting_times.post(FindMeetingTimesPostRequestBody(
        attendees=[guest], minimum_attendee_percentage=100.0, time_constraint=TimeConstraint(
            activity_domain=ActivityDomain.Unrestricted, time_slots=[TimeSlot(start=at("2025-10-06T10:00:00"), end=at("2025-10-06T12:00:00"))])))
    check("times", [each.meeting_time_slot.start.date_time for each in times.meeting_time_suggestions], ["2025-10-06T09:00:00.0000000", "2025-10-06T09:30:00.0000000"])


async def extras(alice):
    name = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name Phase"
    event = await alice.me.events.post(Event(
        subject="Extended", start=at("2025-11-03T09:00:00"), end=at("2025-11-03T10:00:00"),
        single_value_extended_properties=[SingleValueLegacyExtendedProperty(id=name, value="waning")]))
    builder = alice.me.events.by_event_id(event.id)
    extension = OpenTypeExtension(odata_type="microsoft.graph.openTypeExtension", extension_name="com.example.moon")
    extension.additional_data = {"age": 20}
    made = await builder.extensions.post(extension)
    check("an extension", (made.extension_name, made.additional_data["age"]), ("com.example.moon", 20))
    full = await builder.get(configured(EventItemRequestBuilder.EventItemRequestBuilderGetQueryParameters(
        expand=[f"singleValueExtendedProperties($filter=id eq '{name}')", "extensions"])))
    check("expanded", (full.single_value_extended_properties[0].value, full.extensions[0].id),
          ("waning", "Microsoft.OutlookServices.OpenTypeExtension.com.example.moon"))
    attached = await builder.attachments.post(FileAttachment(odata_type="#microsoft.graph.fileAttachment", name="menu.txt", content_bytes=b"U291cA=="))
    check("an attachment", (attached.name, attached.content_type, (await builder.attachments.get()).value[0].id), ("menu.txt", "application/octet-stream", attached.id))
    item = await builder.attachments.post(ItemAttachment(
        odata_type="#microsoft.graph.itemAttachment", name="within", item=Event(odata_type="#microsoft.graph.event", subject="Within")))
    check("an item within", (item.odata_type, item.name), ("#microsoft.graph.itemAttachment", "within"))
    await builder.attachments.by_attachment_id(item.id).delete()
    await builder.attachments.by_attachment_id(attached.id).delete()
    check("none left", (await builder.get()).has_attachments, False)
    steady = (await builder.get(configured(prefer='IdType="ImmutableId"'))).id
    there = await alice.me.calendars.post(Calendar(name="There"))
    moved = control("move", {"user": ALICE, "event": event.id, "calendar": there.id})
    await refused("the old id", 404, "ErrorItemNotFound", builder.get())
    check("ids", ((await alice.me.events.by_event_id(steady).get(configured(prefer='IdType="ImmutableId"'))).id, moved["id"] != event.id), (steady, True))
    ids = await alice.me.translate_exchange_ids.post(TranslateExchangeIdsPostRequestBody(
        input_ids=[moved["id"]], source_id_type=ExchangeIdFormat.RestId, target_id_type=ExchangeIdFormat.RestImmutableEntryId))
    check("translated", ids.value[0].target_id, steady)
    await alice.me.calendars.by_calendar_id(there.id).delete()
    category = await alice.me.outlook.master_categories.post(OutlookCategory(display_name="Travel", color=CategoryColor.Preset3))
    check("a category", [each.color for each in (await alice.me.outlook.master_categories.get()).value if each.id == category.id], [CategoryColor.Preset3])


async def people(alice):
    made = await alice.me.contacts.post(Contact(
        given_name="Pavel", surname="Bansky", email_addresses=[EmailAddress(address="pavel@example.net")], home_address=PhysicalAddress(city="Brno"),
        birthday=datetime.datetime(1974, 7, 22, tzinfo=datetime.timezone.utc)))
    check("a contact", (made.display_name, made.home_address.city, made.birthday.date()), ("Pavel Bansky", "Brno", datetime.date(1974, 7, 22)))
    changed = await alice.me.contacts.by_contact_id(made.id).patch(Contact(job_title="Chef"))
    check("changed", (changed.job_title, changed.given_name), ("Chef", "Pavel"))
    folder = await alice.me.contact_folders.post(ContactFolder(display_name="Team"))
    await alice.me.contact_folders.by_contact_folder_id(folder.id).contacts.post(Contact(display_name="Ada"))
    first = await alice.me.contact_folders.by_contact_folder_id(folder.id).contacts.delta.get()
    check("tracked", [each.display_name for each in first.value], ["Ada"])
    await alice.me.contacts.by_contact_id(made.id).delete()
    check("deleted", (await alice.me.contacts.get()).value, [])
    check("people", [(each.display_name, each.person_type.subclass) for each in (await alice.me.people.get()).value],
          [("Bob", "OrganizationUser")])
    rooms = await alice.places.graph_room.get()
    check("rooms", [(room.display_name, room.capacity, room.is_wheel_chair_accessible) for room in rooms.value],
          [("Adams", 6, False), ("Baker", 12, False), ("Rainier", 20, True)])
    lists = await alice.places.graph_room_list.get()
    inside = await alice.places.by_place_id(lists.value[0].id).graph_room_list.rooms.get()
    check("in a list", [room.email_address for room in inside.value], ["adams@example.com", "baker@example.com"])


class Receiver(BaseHTTPRequestHandler):
    got = []

    def do_POST(self):
        token = parse_qs(urlparse(self.path).query).get("validationToken")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not token:
            Receiver.got.extend(json.loads(body)["value"])
        self.send_response(200 if token else 202)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(token[0].encode() if token else b"")

    def log_message(self, *_):
        pass


async def subscriptions(alice):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/notify"
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
    made = await alice.subscriptions.post(Subscription(
        change_type="created", notification_url=url, lifecycle_notification_url=url, resource="me/events", client_state="secret", expiration_date_time=end))
    check("subscribed", (made.resource, abs((made.expiration_date_time - end).total_seconds()) < 2), ("me/events", True))
    event = await alice.me.events.post(Event(subject="Told", start=at("2025-12-01T09:00:00"), end=at("2025-12-01T10:00:00")))
    for _ in range(200):
        if Receiver.got:
            break
        await asyncio.sleep(0.025)
    check("told", [(each["clientState"], each["resourceData"]["id"]) for each in Receiver.got], [("secret", event.id)])
    one = alice.subscriptions.by_subscription_id(made.id)
    await one.reauthorize.post()
    renewed = await one.patch(Subscription(expiration_date_time=end + datetime.timedelta(days=1)))
    check("renewed", renewed.expiration_date_time > made.expiration_date_time)
    await one.delete()
    await refused("ended", 404, "ResourceNotFound", one.get())
    server.shutdown()


async def batches(alice):
    content = BatchRequestContent()
    first = alice.me.calendars.to_get_request_information()
    second = alice.me.events.by_event_id("AAMkNone").to_get_request_information()
    for each in (first, second):
        content.add_request_information(each)
    keys = list(content.requests)
    for key in keys:  # the client makes addresses relative for Microsoft's own hosts only
        content.requests[key].url = content.requests[key].url.split("/v1.0", 1)[1]
    reply = await alice.batch.post(batch_request_content=content)
    check("two of a batch", [reply.get_response_by_id(key).status for key in keys], [200, 404])


async def main():
    alice, bob = client(setting["tokens"]["alice"]), client(setting["tokens"]["bob"])
    other = await calendars(alice)
    await events(alice, bob, other)
    await series(alice)
    await delta(alice)
    await meetings(alice, bob)
    await extras(alice)
    await people(alice)
    await subscriptions(alice)
    await batches(alice)
    control("faults", [{"match": {"path": "/me/calendars$"}, "fault": "status", "status": 429, "retry_after": 1}])
    check("the client waits as told", len((await alice.me.calendars.get()).value), 2)
    print(f"{done} checks")


asyncio.run(main())

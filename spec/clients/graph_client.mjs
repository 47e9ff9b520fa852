// The vendor's @microsoft/microsoft-graph-client, unmodified but for its base URL, goes through every resource of the emulated Graph.
import { createServer } from "node:http";
import { check, finish, require, setting } from "./checks.mjs";

const { Client, PageIterator, BatchRequestContent, BatchResponseContent } = require("@microsoft/microsoft-graph-client");

const host = new URL(setting.url).hostname;

function client(token) {
  return Client.init({ baseUrl: setting.url, defaultVersion: "v1.0", customHosts: new Set([host]), authProvider: (done) => done(null, token) });
}

const alice = client(setting.tokens.alice);
const bob = client(setting.tokens.bob);
const ALICE = "alice@example.com";
const BOB = "bob@example.com";
const ZONE = "W. Europe Standard Time";
const at = (dateTime, timeZone = ZONE) => ({ dateTime, timeZone });
const zoned = { Prefer: `outlook.timezone="${ZONE}"` };

async function refused(what, status, code, call) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    check(what, [error.statusCode, error.code], [status, code]);
    check(what + ": its ids", [typeof error.requestId, Boolean(JSON.parse(error.body).innerError.date)], ["string", true]);
    return;
  }
  throw new Error(`${what}: taken: ${JSON.stringify(answer)}`);
}

async function control(path, body) {
  const answer = await fetch(setting.url + "/_emulator/" + path, { method: body === undefined ? "GET" : "POST", body: body && JSON.stringify(body) });
  return answer.status === 204 ? null : answer.json();
}

async function users() {
  const me = await alice.api("/me").select("displayName,mail,userPrincipalName").get();
  check("me", [me.displayName, me.mail, me.userPrincipalName], ["Alice", ALICE, ALICE]);
  await refused("no photo", 404, "ImageNotFound", () => alice.api("/me/photo").get());
  check("the directory", (await alice.api("/users").get()).value.map((one) => one.mail), [ALICE, BOB]);
  check("another user", (await alice.api(`/users/${BOB}`).get()).mail, BOB);
  await refused("an unknown token", 401, "InvalidAuthenticationToken", () => client("nobody").api("/me").get());
  const settings = await alice.api("/me/mailboxSettings").update({ timeZone: ZONE, workingHours: { timeZone: { name: ZONE } } });
  check("settings", [settings.timeZone, settings.workingHours.timeZone.name, settings.workingHours.startTime], [ZONE, ZONE, "08:00:00.0000000"]);
  check("one of them", (await alice.api("/me/mailboxSettings/timeZone").get()).value, ZONE);
  const windows = (await alice.api("/me/outlook/supportedTimeZones").get()).value.map((one) => one.alias);
  check("Windows zones", [windows.includes(ZONE), windows.includes("Europe/Berlin")], [true, false]);
  const iana = (await alice.api("/me/outlook/supportedTimeZones(TimeZoneStandard=microsoft.graph.timeZoneStandard'Iana')").get()).value;
  check("IANA zones", iana.some((one) => one.alias === "Europe/Berlin"), true);
  const category = await alice.api("/me/outlook/masterCategories").post({ displayName: "Travel", color: "preset3" });
  check("a category", (await alice.api(`/me/outlook/masterCategories/${category.id}`).get()).color, "preset3");
}

async function calendars() {
  const group = await alice.api("/me/calendarGroups").post({ name: "Projects" });
  check("groups", (await alice.api("/me/calendarGroups").get()).value.map((one) => one.name), ["My Calendars", "Other Calendars", "Projects"]);
  const made = await alice.api(`/me/calendarGroups/${group.id}/calendars`).post({ name: "Moon", color: "lightGreen" });
  check("a calendar", [made.name, made.color, made.isDefaultCalendar, made.canEdit, made.owner.address], ["Moon", "lightGreen", false, true, ALICE]);
  check("renamed", (await alice.api(`/me/calendars/${made.id}`).update({ name: "Mars" })).name, "Mars");
  check("in its group", (await alice.api(`/me/calendarGroups/${group.id}/calendars`).select("name").get()).value.map((one) => one.name), ["Mars"]);
  check("all", (await alice.api("/me/calendars").count(true).get())["@odata.count"], 2);
  await refused("a name twice", 409, "ErrorFolderExists", () => alice.api("/me/calendars").post({ name: "mars" }));
  await refused("an unknown property", 400, "RequestBodyRead", () => alice.api("/me/calendars").post({ name: "x", colour: "red" }));
  await alice.api(`/me/calendars/${made.id}`).delete();
  await refused("it is gone", 404, "ErrorItemNotFound", () => alice.api(`/me/calendars/${made.id}`).get());
  await alice.api(`/me/calendarGroups/${group.id}`).delete();
  const main = await alice.api("/me/calendar").get();
  check("the default one", [main.name, main.isDefaultCalendar, main.isRemovable, main.allowedOnlineMeetingProviders], ["Calendar", true, false, ["teamsForBusiness"]]);
  await refused("stays", 400, "ErrorInvalidRequest", () => alice.api("/me/calendar").delete());
}

async function sharing() {
  const permissions = alice.api("/me/calendar/calendarPermissions");
  const made = await permissions.post({ role: "read", emailAddress: { address: BOB, name: "Bob" } });
  check("a permission", [made.role, made.isRemovable, made.emailAddress.address], ["read", true, BOB]);
  check("beside the organization's", (await alice.api("/me/calendar/calendarPermissions").get()).value.map((one) => one.role), ["freeBusyRead", "read"]);
  check("seen by a guest", (await bob.api(`/users/${ALICE}/calendar`).get()).canEdit, false);
  check("more", (await alice.api(`/me/calendar/calendarPermissions/${made.id}`).update({ role: "write" })).role, "write");
  const guest = await bob.api(`/users/${ALICE}/calendar/events`).post({ subject: "By Bob", start: at("2025-03-20T12:00:00"), end: at("2025-03-20T13:00:00") });
  check("written by a guest", (await alice.api(`/me/events/${guest.id}`).get()).subject, "By Bob");
  await alice.api(`/me/events/${guest.id}`).delete();
  await alice.api(`/me/calendar/calendarPermissions/${made.id}`).delete();
  await refused("no more", 403, "ErrorAccessDenied", () => bob.api(`/users/${ALICE}/calendar/events`).get());
}

async function reminders() {
  const made = await alice.api("/me/events").post({ subject: "Ring", start: at("2025-08-04T12:00:00"), end: at("2025-08-04T13:00:00"), reminderMinutesBeforeStart: 30 });
  const view = async () => (await alice.api("/me/reminderView(startDateTime='2025-08-04T00:00:00Z',endDateTime='2025-08-05T00:00:00Z')").get()).value
    .map((one) => [one.eventId, one.reminderFireTime.dateTime]);
  check("to ring", await view(), [[made.id, "2025-08-04T09:30:00.0000000"]]);
  await alice.api(`/me/events/${made.id}/snoozeReminder`).post({ newReminderTime: at("2025-08-04T09:45:00", "UTC") });
  check("snoozed", await view(), [[made.id, "2025-08-04T09:45:00.0000000"]]);
  await alice.api(`/me/events/${made.id}/dismissReminder`).post();
  check("dismissed", await view(), []);
  await alice.api(`/me/events/${made.id}`).delete();
}

async function events() {
  const transactionId = "7e163156-7762-4beb-a1c6-729ea81755a7";
  const body = { subject: "Lunch", start: at("2025-03-28T12:00:00"), end: at("2025-03-28T13:00:00"), transactionId, location: { displayName: "Bar" },
    body: { contentType: "html", content: "<p>Pasta &amp; <b>wine</b></p>" }, categories: ["Travel"] };
  const one = await alice.api("/me/events").headers(zoned).post(body);
  check("made", [one.subject, one.start, one.type, one.showAs, one.isOrganizer, one.originalStartTimeZone],
    ["Lunch", at("2025-03-28T12:00:00.0000000"), "singleInstance", "busy", true, ZONE]);
  check("made once", (await alice.api("/me/events").post(body)).id, one.id);
  const text = await alice.api(`/me/events/${one.id}`).header("Prefer", 'outlook.body-content-type="text"').get();
  check("in UTC, as text", [text.start, text.body, text.bodyPreview], [at("2025-03-28T11:00:00.0000000", "UTC"), { contentType: "text", content: "Pasta & wine" }, "Pasta & wine"]);
  const tokyo = await alice.api(`/me/events/${one.id}`).header("Prefer", 'outlook.timezone="Asia/Tokyo"').select("start").get();
  check("in an IANA zone", [tokyo.start, Object.keys(tokyo).includes("end")], [at("2025-03-28T20:00:00.0000000", "Asia/Tokyo"), false]);
  const changed = await alice.api(`/me/events/${one.id}`).header("If-Match", one["@odata.etag"]).patch({ subject: "Long lunch", end: at("2025-03-28T14:00:00") });
  check("changed", [changed.subject, changed.end.dateTime, changed.changeKey !== one.changeKey], ["Long lunch", "2025-03-28T13:00:00.0000000", true]);
  await refused("with an old etag", 412, "ErrorIrresolvableConflict",
    () => alice.api(`/me/events/${one.id}`).header("If-Match", one["@odata.etag"]).patch({ subject: "x" }));
  await refused("a zone that there is not", 400, "TimeZoneNotSupportedException",
    () => alice.api("/me/events").post({ subject: "x", start: at("2025-03-28T12:00:00", "Mars/Base"), end: at("2025-03-28T13:00:00", "Mars/Base") }));
  await refused("an unknown property", 400, "RequestBroker--ParseUri", () => alice.api("/me/events").select("title").get());
  await refused("half a day all day", 400, "ErrorPropertyValidationFailure",
    () => alice.api("/me/events").post({ subject: "x", isAllDay: true, start: at("2025-03-28T12:00:00"), end: at("2025-03-29T00:00:00") }));
  const day = await alice.api("/me/events").post({ subject: "Holiday", isAllDay: true, start: at("2025-04-18T00:00:00"), end: at("2025-04-21T00:00:00") });
  check("days", [day.start.dateTime, day.end.dateTime, day.showAs], ["2025-04-18T00:00:00.0000000", "2025-04-21T00:00:00.0000000", "free"]);
  for (let i = 0; i < 25; i += 1) {
    await alice.api("/me/events").post({ subject: `Item ${i}`, start: at(`2024-01-${10 + (i % 9)}T08:00:00`), end: at(`2024-01-${10 + (i % 9)}T09:00:00`) });
  }
  const first = await alice.api("/me/events").filter("startsWith(subject,'Item')").select("subject").top(10).get();
  const seen = [];
  const iterator = new PageIterator(alice, first, (item) => seen.push(item.subject) > 0);
  await iterator.iterate();
  check("pages", [first.value.length, seen.length, new Set(seen).size, iterator.isComplete()], [10, 25, 25, true]);
  const ordered = await alice.api("/me/events").filter("start/dateTime lt '2025-01-01T00:00:00'").orderby("start/dateTime desc,subject").select("subject").top(3).skip(1).get();
  check("in order", ordered.value.map((item) => item.subject), ["Item 8", "Item 16", "Item 7"]);
  check("by category", (await alice.api("/me/events").filter("categories/any(c:c eq 'Travel')").get()).value.map((item) => item.subject), ["Long lunch"]);
  const view = await alice.api("/me/calendarView").query({ startDateTime: "2025-03-01T00:00:00Z", endDateTime: "2025-05-01T00:00:00Z" }).headers(zoned).get();
  check("a view", view.value.map((item) => [item.subject, item.start.dateTime]), [["Long lunch", "2025-03-28T12:00:00.0000000"], ["Holiday", "2025-04-18T00:00:00.0000000"]]);
  await refused("a view of nothing", 400, "ErrorInvalidParameter", () => alice.api("/me/calendarView").get());
  await alice.api(`/me/events/${one.id}`).delete();
  await refused("deleted", 404, "ErrorItemNotFound", () => alice.api(`/me/events/${one.id}`).get());
}

async function series() {
  const window = { startDateTime: "2025-03-01T00:00:00Z", endDateTime: "2025-06-01T00:00:00Z" };
  const make = (pattern, range, start = "2025-03-03T09:00:00") => alice.api("/me/events").post({
    subject: "Series", start: at(start), end: at(start.replace("09:00", "09:30")), recurrence: { pattern: { interval: 1, ...pattern }, range: { startDate: start.slice(0, 10), ...range } },
  });
  const starts = async (id) => (await alice.api(`/me/events/${id}/instances`).query(window).top(50).get()).value.map((one) => one.start.dateTime.slice(0, 16));
  const weekly = await make({ type: "weekly", daysOfWeek: ["monday"] }, { type: "numbered", numberOfOccurrences: 5 });
  check("a master", [weekly.type, weekly.recurrence.pattern.firstDayOfWeek, weekly.recurrence.range.recurrenceTimeZone, weekly.recurrence.range.endDate],
    ["seriesMaster", "sunday", ZONE, "0001-01-01"]);
  check("over the change of clocks", await starts(weekly.id),
    ["2025-03-03T08:00", "2025-03-10T08:00", "2025-03-17T08:00", "2025-03-24T08:00", "2025-03-31T07:00"]);
  const relative = await make({ type: "relativeMonthly", daysOfWeek: ["tuesday", "thursday"], index: "first" }, { type: "endDate", endDate: "2025-05-31" }, "2025-03-04T09:00:00");
  check("the first of the days", (await starts(relative.id)).map((one) => one.slice(0, 10)), ["2025-03-04", "2025-04-01", "2025-05-01"]);
  const last = await make({ type: "absoluteMonthly", dayOfMonth: 31 }, { type: "noEnd" }, "2025-03-31T09:00:00");
  check("the last day of a short month", (await starts(last.id)).map((one) => one.slice(0, 10)), ["2025-03-31", "2025-04-30", "2025-05-31"]);
  await refused("what is not the type's", 400, "ErrorPropertyValidationFailure", () => make({ type: "daily", dayOfMonth: 3 }, { type: "noEnd" }));

  const { value: instances } = await alice.api(`/me/events/${weekly.id}/instances`).query(window).get();
  check("occurrences", [instances[1].type, instances[1].seriesMasterId, instances[1].originalStart, instances[1].recurrence], ["occurrence", weekly.id, "2025-03-10T08:00:00Z", null]);
  await refused("over a neighbour", 400, "ErrorOccurrenceCrossingBoundary",
    () => alice.api(`/me/events/${instances[1].id}`).patch({ start: at("2025-03-17T09:00:00"), end: at("2025-03-17T09:30:00") }));
  const moved = await alice.api(`/me/events/${instances[1].id}`).headers(zoned).patch({ subject: "Moved", start: at("2025-03-11T10:00:00"), end: at("2025-03-11T10:30:00") });
  check("an exception", [moved.id, moved.type, moved.subject, moved.start.dateTime, moved.originalStart],
    [instances[1].id, "exception", "Moved", "2025-03-11T10:00:00.0000000", "2025-03-10T08:00:00Z"]);
  await alice.api(`/me/events/${instances[2].id}`).delete();
  const master = await alice.api(`/me/events/${weekly.id}`).expand("exceptionOccurrences").get();
  check("the master knows", [master.cancelledOccurrences, master.exceptionOccurrences.map((one) => one.subject)], [[`OID.${weekly.id}.2025-03-17`], ["Moved"]]);
  check("what is left", await starts(weekly.id), ["2025-03-03T08:00", "2025-03-11T09:00", "2025-03-24T08:00", "2025-03-31T07:00"]);
  await alice.api(`/me/events/${weekly.id}`).patch({ recurrence: { pattern: weekly.recurrence.pattern, range: { type: "endDate", startDate: "2025-03-03", endDate: "2025-03-12" } } });
  check("shortened", await starts(weekly.id), ["2025-03-03T08:00", "2025-03-10T08:00"]);
  for (const id of [weekly.id, relative.id, last.id]) await alice.api(`/me/events/${id}`).delete();
}

async function delta() {
  const collect = async (url, query, headers = {}) => {
    const items = [];
    let request = alice.api(url).headers(headers);
    let page = await (query ? request.query(query) : request).get();
    items.push(...page.value);
    while (page["@odata.nextLink"]) {
      check("the window is in the token", /\$skiptoken=[^&]+$/.test(page["@odata.nextLink"]), true);
      page = await alice.api(page["@odata.nextLink"]).headers(headers).get();
      items.push(...page.value);
    }
    return [items, page["@odata.deltaLink"]];
  };
  const window = { startDateTime: "2026-02-01T00:00:00Z", endDateTime: "2026-03-01T00:00:00Z" };
  await refused("no options", 400, "ErrorInvalidUrlQuery", () => alice.api("/me/calendarView/delta").query(window).select("subject").get());
  const weekly = await alice.api("/me/events").post({ subject: "Delta", start: at("2026-02-02T09:00:00"), end: at("2026-02-02T10:00:00"),
    recurrence: { pattern: { type: "weekly", interval: 1, daysOfWeek: ["monday"] }, range: { type: "noEnd", startDate: "2026-02-02" } } });
  const [all, link] = await collect("/me/calendarView/delta", window, { Prefer: "odata.maxpagesize=2" });
  check("a master and its occurrences", all.map((one) => [one.type, one.subject]),
    [["seriesMaster", "Delta"], ["occurrence", undefined], ["occurrence", undefined], ["occurrence", undefined], ["occurrence", undefined]]);
  const [nothing, again] = await collect(link);
  check("nothing new", nothing, []);
  const inside = await alice.api("/me/events").post({ subject: "Inside", start: at("2026-02-10T09:00:00"), end: at("2026-02-10T10:00:00") });
  const outside = await alice.api("/me/events").post({ subject: "Outside", start: at("2027-02-10T09:00:00"), end: at("2027-02-10T10:00:00") });
  await alice.api(`/me/events/${all[2].id}`).delete();
  const [changes] = await collect(again);
  const removed = changes.filter((one) => one["@removed"]).map((one) => [one.id, one["@removed"].reason]).sort();
  check("removed ones", removed, [[all[2].id, "deleted"], [outside.id, "deleted"]].sort());
  check("new ones", changes.filter((one) => one.subject === "Inside").map((one) => one.id), [inside.id]);
  await control("forget", {});
  await refused("a lost state", 410, "SyncStateNotFound", () => alice.api(again).get());
  for (const id of [weekly.id, inside.id, outside.id]) await alice.api(`/me/events/${id}`).delete();
}

async function meetings() {
  const meeting = await alice.api("/me/events").post({ subject: "Review", start: at("2025-09-01T09:00:00"), end: at("2025-09-01T10:00:00"), isOnlineMeeting: true,
    attendees: [{ type: "required", emailAddress: { address: BOB, name: "Bob" } }, { type: "resource", emailAddress: { address: "adams@example.com" } }] });
  check("it is online", [meeting.isOnlineMeeting, meeting.onlineMeetingProvider, meeting.onlineMeeting.joinUrl.startsWith("https://teams.microsoft.com/")], [true, "teamsForBusiness", true]);
  check("for good", (await alice.api(`/me/events/${meeting.id}`).patch({ isOnlineMeeting: false })).isOnlineMeeting, true);
  const find = async (who) => (await who.api("/me/events").filter(`iCalUId eq '${meeting.iCalUId}'`).get()).value[0];
  const copy = await find(bob);
  check("the guest's copy", [copy.isOrganizer, copy.responseStatus.response, copy.organizer.emailAddress.address, copy.showAs], [false, "notResponded", ALICE, "tentative"]);
  await refused("the organizer cannot accept", 400, "ErrorInvalidRequest", () => alice.api(`/me/events/${meeting.id}/accept`).post({}));
  await refused("the guest cannot cancel", 400, "ErrorInvalidRequest", () => bob.api(`/me/events/${copy.id}/cancel`).post({}));
  await bob.api(`/me/events/${copy.id}/tentativelyAccept`).post({ comment: "Perhaps", sendResponse: true });
  const response = async (address) => (await find(alice)).attendees.find((one) => one.emailAddress.address === address).status.response;
  check("perhaps", await response(BOB), "tentativelyAccepted");
  await bob.api(`/me/events/${copy.id}/accept`).post({ sendResponse: false });
  check("not told", [await response(BOB), (await find(bob)).responseStatus.response], ["tentativelyAccepted", "accepted"]);
  check("the room answers", await response("adams@example.com"), "accepted");
  await alice.api(`/me/events/${meeting.id}/forward`).post({ toRecipients: [{ emailAddress: { address: "carol@example.net" } }], comment: "Look" });
  await bob.api(`/me/events/${copy.id}/decline`).post({ comment: "Sorry", sendResponse: true });
  check("declined and gone", [await response(BOB), await find(bob)], ["declined", undefined]);
  await alice.api(`/me/events/${meeting.id}/cancel`).post({ comment: "Off" });
  const { mail } = await control("mail");
  check("what was mailed", mail.map((one) => `${one.kind} ${one.from.split("@")[0]} ${one.to.split("@")[0]}`), [
    "invitation alice bob", "response adams alice", "invitation alice adams", "update alice bob", "update alice adams", "response bob alice",
    "forward alice carol", "response bob alice", "cancellation alice bob", "cancellation alice adams",
  ]);
}

async function freebusy() {
  await bob.api("/me/events").post({ subject: "Secret", sensitivity: "private", showAs: "oof", start: at("2025-10-06T10:00:00"), end: at("2025-10-06T11:00:00") });
  const { value } = await alice.api("/me/calendar/getSchedule").post({ schedules: [BOB, "nobody@example.com"], startTime: at("2025-10-06T09:00:00"), endTime: at("2025-10-06T12:00:00"), availabilityViewInterval: 60 });
  check("free and busy", [value[0].availabilityView, value[0].scheduleItems.map((one) => [one.status, one.start.dateTime, one.subject])],
    ["030", [["oof", "2025-10-06T10:00:00.0000000", undefined]]]);
  check("one that there is not", value[1].error.responseCode, "ErrorMailRecipientNotFound");
  const found = await alice.api("/me/findMeetingTimes").post({ attendees: [{ type: "required", emailAddress: { address: BOB } }], meetingDuration: "PT1H", maxCandidates: 2, minimumAttendeePercentage: 100,
    timeConstraint: { activityDomain: "work", timeSlots: [{ start: at("2025-10-06T10:00:00"), end: at("2025-10-06T13:00:00") }] } });
  check("times", found.meetingTimeSuggestions.map((one) => one.meetingTimeSlot.start.dateTime), ["2025-10-06T09:00:00.0000000", "2025-10-06T09:30:00.0000000"]);
}

async function extras() {
  const id = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name Phase";
  const event = await alice.api("/me/events").post({ subject: "Extended", start: at("2025-11-03T09:00:00"), end: at("2025-11-03T10:00:00"),
    singleValueExtendedProperties: [{ id, value: "waning" }],
    extensions: [{ "@odata.type": "microsoft.graph.openTypeExtension", extensionName: "com.example.moon", phase: { age: 20 } }] });
  const plain = await alice.api(`/me/events/${event.id}`).get();
  check("not without asking", [plain.singleValueExtendedProperties, plain.extensions], [undefined, undefined]);
  const full = await alice.api(`/me/events/${event.id}`).expand(`singleValueExtendedProperties($filter=id eq '${id}'),extensions`).get();
  check("expanded", [full.singleValueExtendedProperties, full.extensions[0].phase], [[{ id, value: "waning" }], { age: 20 }]);
  const found = await alice.api("/me/events").filter(`singleValueExtendedProperties/Any(ep: ep/id eq '${id}' and ep/value eq 'waning')`).select("subject").get();
  check("found by it", found.value.map((one) => one.subject), ["Extended"]);
  check("an extension", (await alice.api(`/me/events/${event.id}/extensions/com.example.moon`).get()).id, "Microsoft.OutlookServices.OpenTypeExtension.com.example.moon");
  await alice.api(`/me/events/${event.id}/extensions/com.example.moon`).patch({ "@odata.type": "microsoft.graph.openTypeExtension", phase: null, name: "x" });
  const extension = await alice.api(`/me/events/${event.id}/extensions/com.example.moon`).get();
  check("changed", [extension.phase, extension.name], [undefined, "x"]);
  const attach = (attachment) => alice.api(`/me/events/${event.id}/attachments`).post(attachment);
  const file = await attach({ "@odata.type": "#microsoft.graph.fileAttachment", name: "menu.txt", contentBytes: Buffer.from("Soup").toString("base64"), contentType: "text/plain" });
  await attach({ "@odata.type": "#microsoft.graph.itemAttachment", name: "item", item: { "@odata.type": "microsoft.graph.event", subject: "Within" } });
  await attach({ "@odata.type": "#microsoft.graph.referenceAttachment", name: "link" });
  const { value: list } = await alice.api(`/me/events/${event.id}/attachments`).get();
  check("attachments", list.map((one) => [one["@odata.type"].split(".").pop(), one.name]), [["fileAttachment", "menu.txt"], ["itemAttachment", "item"], ["referenceAttachment", "link"]]);
  const bytes = await alice.api(`/me/events/${event.id}/attachments/${file.id}/$value`).responseType("arraybuffer").get();
  check("its bytes", Buffer.from(bytes).toString(), "Soup");
  await alice.api(`/me/events/${event.id}/attachments/${file.id}`).delete();
  check("one less", (await alice.api(`/me/events/${event.id}`).expand("attachments").get()).attachments.length, 2);
  const immutable = { Prefer: 'IdType="ImmutableId"' };
  const steady = (await alice.api(`/me/events/${event.id}`).headers(immutable).get()).id;
  const other = await alice.api("/me/calendars").post({ name: "Other" });
  const moved = await control("move", { user: ALICE, event: event.id, calendar: other.id });
  check("an id that stays", [moved.immutableId, (await alice.api(`/me/events/${steady}`).headers(immutable).get()).id, moved.id !== event.id], [steady, steady, true]);
  await refused("the old one", 404, "ErrorItemNotFound", () => alice.api(`/me/events/${event.id}`).get());
  const ids = await alice.api("/me/translateExchangeIds").post({ inputIds: [moved.id], sourceIdType: "restId", targetIdType: "restImmutableEntryId" });
  check("translated", ids.value, [{ sourceId: moved.id, targetId: steady }]);
}

async function contacts() {
  const one = await alice.api("/me/contacts").post({ givenName: "Pavel", surname: "Bansky", emailAddresses: [{ address: "pavel@example.net", name: "Pavel" }], businessPhones: ["+1 732 555 0102"], birthday: "1974-07-22T00:00:00Z" });
  check("a contact", [one.displayName, one.fileAs, one.emailAddresses[0].address, one.birthday], ["Pavel Bansky", "Bansky, Pavel", "pavel@example.net", "1974-07-22T11:59:00Z"]);
  const start = await alice.api("/me/contactFolders/" + one.parentFolderId + "/contacts/delta").get();
  check("tracked", start.value.map((each) => each.displayName), ["Pavel Bansky"]);
  check("changed", (await alice.api(`/me/contacts/${one.id}`).patch({ jobTitle: "Chef", mobilePhone: null })).jobTitle, "Chef");
  check("found", (await alice.api("/me/contacts").filter("emailAddresses/any(a:a/address eq 'pavel@example.net')").get()).value.length, 1);
  const folder = await alice.api("/me/contactFolders").post({ displayName: "Team" });
  const child = await alice.api(`/me/contactFolders/${folder.id}/childFolders`).post({ displayName: "Core" });
  check("folders", [child.parentFolderId, (await alice.api("/me/contactFolders").get()).value.map((each) => each.displayName)], [folder.id, ["Team"]]);
  await alice.api(`/me/contactFolders/${folder.id}/contacts`).post({ displayName: "Ada" });
  check("in a folder", (await alice.api(`/me/contactFolders/${folder.id}/contacts`).select("displayName").get()).value.map((each) => each.displayName), ["Ada"]);
  await alice.api(`/me/contacts/${one.id}`).delete();
  check("deleted", (await alice.api(start["@odata.deltaLink"]).get()).value, [{ id: one.id, "@removed": { reason: "deleted" } }]);
  const people = (await alice.api("/me/people").search("bob").get()).value;
  check("people", people.map((each) => [each.displayName, each.scoredEmailAddresses[0].address]), [["Bob", BOB]]);
  const lists = (await alice.api("/places/microsoft.graph.roomlist").get()).value;
  const rooms = (await alice.api(`/places/${lists[0].emailAddress}/microsoft.graph.roomlist/rooms`).get()).value;
  check("rooms", [lists.length, rooms.map((each) => [each.displayName, each.emailAddress, each.capacity])], [2, [["Adams", "adams@example.com", 6], ["Baker", "baker@example.com", 12]]]);
}

async function subscriptions() {
  const got = [];
  let honest = true;
  const receiver = createServer((req, res) => {
    const token = new URL(req.url, "http://receiver").searchParams.get("validationToken");
    let text = "";
    req.on("data", (chunk) => (text += chunk)).on("end", () => {
      if (token) return res.writeHead(200, { "content-type": honest ? "text/plain" : "text/html" }).end(token);
      got.push(...JSON.parse(text).value.map((one) => ({ ...one, path: req.url })));
      res.writeHead(202).end();
    });
  });
  await new Promise((done) => receiver.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${receiver.address().port}`;
  const later = (minutes) => new Date(Date.now() + minutes * 60000).toISOString();
  const wanted = { changeType: "created,updated,deleted", notificationUrl: url + "/notify", lifecycleNotificationUrl: url + "/lifecycle", resource: "/me/events", clientState: "secret", expirationDateTime: later(4230) };
  honest = false;
  await refused("a receiver that echoes HTML", 400, "ValidationError", () => alice.api("/subscriptions").post(wanted));
  honest = true;
  await refused("too long", 400, "InvalidRequest", () => alice.api("/subscriptions").post({ ...wanted, expirationDateTime: later(20000) }));
  await refused("one calendar", 400, "InvalidRequest", () => alice.api("/subscriptions").post({ ...wanted, resource: "/me/calendars/x/events" }));
  const made = await alice.api("/subscriptions").post(wanted);
  check("subscribed", [made.resource, made.changeType, made.clientState], ["/me/events", "created,updated,deleted", "secret"]);
  const until = async (count) => {
    for (let i = 0; got.length < count && i < 200; i += 1) await new Promise((done) => setTimeout(done, 25));
  };
  const event = await alice.api("/me/events").post({ subject: "Told", start: at("2025-12-01T09:00:00"), end: at("2025-12-01T10:00:00") });
  await until(1);
  check("told", got.map((one) => [one.subscriptionId, one.changeType, one.clientState, one.resourceData.id, one.path]), [[made.id, "created", "secret", event.id, "/notify"]]);
  await alice.api(`/me/events/${event.id}`).delete();
  await until(2);
  check("of an end", got[1].changeType, "deleted");
  const short = await alice.api(`/subscriptions/${made.id}`).patch({ expirationDateTime: later(1) });
  check("at least 45 minutes", new Date(short.expirationDateTime) - Date.now() > 44 * 60000, true);
  await alice.api(`/subscriptions/${made.id}/reauthorize`).post();
  await control("lifecycle", { subscription: made.id, event: "reauthorizationRequired" });
  await until(3);
  check("a lifecycle event", [got[2].lifecycleEvent, got[2].path, got[2].clientState], ["reauthorizationRequired", "/lifecycle", "secret"]);
  check("listed", (await alice.api("/subscriptions").get()).value.map((one) => one.id), [made.id]);
  await alice.api(`/subscriptions/${made.id}`).delete();
  await refused("ended", 404, "ResourceNotFound", () => alice.api(`/subscriptions/${made.id}`).get());
  receiver.close();
}

async function batches() {
  const content = new BatchRequestContent([
    { id: "1", request: new Request(setting.url + "/me/events", { method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ subject: "Batched", start: at("2025-12-02T09:00:00"), end: at("2025-12-02T10:00:00") }) }) },
    { id: "2", request: new Request(setting.url + "/me/events/AAMkNone", { method: "GET" }), dependsOn: ["1"] },
    { id: "3", request: new Request(setting.url + "/me/calendars", { method: "GET" }), dependsOn: ["2"] },
  ]);
  const payload = await content.getContent();
  for (const each of payload.requests) each.url = each.url.replace(/^.*?\/me/, "/me");
  const responses = new BatchResponseContent(await alice.api("/$batch").post(payload));
  check("of a batch each has its own", ["1", "2", "3"].map((id) => responses.getResponseById(id).status), [201, 404, 424]);
  check("and its body", (await responses.getResponseById("1").json()).subject, "Batched");
  const many = Array.from({ length: 21 }, (_, i) => ({ id: String(i), method: "GET", url: "/me" }));
  await refused("twenty at most", 400, "BadRequest", () => alice.api("/$batch").post({ requests: many }));
}

async function limits() {
  await control("faults", [{ match: { path: "/me/calendars$" }, fault: "status", status: 429, retry_after: 1 }]);
  const before = Date.now();
  check("the client waits as told", (await alice.api("/me/calendars").get()).value.length > 0, true);
  check("for a second", Date.now() - before >= 1000, true);
  await control("switches", { latency: 0.8 });
  const answers = await Promise.all(Array.from({ length: 6 }, () => fetch(setting.url + "/v1.0/me", { headers: { authorization: "Bearer " + setting.tokens.alice } })));
  check("four at a time", answers.map((one) => one.status).sort(), [200, 200, 200, 200, 429, 429]);
  await control("switches", { latency: 0 });
  await control("token", { user: ALICE, token: "reader", scopes: ["Calendars.Read", "User.Read"] });
  const reader = client("reader");
  check("may read", (await reader.api("/me/calendars").get()).value.length > 0, true);
  await refused("not write", 403, "ErrorAccessDenied", () => reader.api("/me/calendars").post({ name: "x" }));
  await refused("nor see contacts", 403, "ErrorAccessDenied", () => reader.api("/me/contacts").get());
}

for (const round of [users, calendars, sharing, reminders, events, series, delta, meetings, freebusy, extras, contacts, subscriptions, batches, limits]) await round();
finish();

// The vendor's @googleapis/calendar, unmodified but for its root URL, calls every method of Calendar.
import { createServer } from "node:http";
import { check, finish, refused, require, setting } from "./checks.mjs";

const { calendar: make, auth } = require("@googleapis/calendar");

function client(token) {
  const credentials = new auth.OAuth2();
  credentials.setCredentials({ access_token: token });
  return make({ version: "v3", auth: credentials, rootUrl: setting.url + "/", retry: false });
}

const alice = client(setting.tokens.alice);
const bob = client(setting.tokens.bob);
const ALICE = "alice@example.com";
const BOB = "bob@example.com";
const calendarId = "primary";
const berlin = (dateTime) => ({ dateTime, timeZone: "Europe/Berlin" });
const only = (event, ...names) => Object.fromEntries(names.map((name) => [name, event[name]]));

async function calendars() {
  const { data: list } = await alice.calendarList.list();
  check("one calendar at first", list.items.map((one) => [one.id, one.primary, one.accessRole, one.timeZone]), [[ALICE, true, "owner", "Europe/Berlin"]]);
  const { data: team } = await alice.calendars.insert({ requestBody: { summary: "Team", timeZone: "America/New_York" } });
  check("a calendar is made", only(team, "kind", "summary", "timeZone", "dataOwner"),
    { kind: "calendar#calendar", summary: "Team", timeZone: "America/New_York", dataOwner: ALICE });
  const changes = await alice.calendarList.list({ syncToken: list.nextSyncToken });
  check("the list tells of it", changes.data.items.map((one) => [one.id, one.accessRole]), [[team.id, "owner"]]);
  check("patched", (await alice.calendars.patch({ calendarId: team.id, requestBody: { description: "Ours" } })).data.description, "Ours");
  const replaced = (await alice.calendars.update({ calendarId: team.id, requestBody: { summary: "The team" } })).data;
  check("updated", [replaced.summary, replaced.description], ["The team", undefined]);
  check("read", (await alice.calendars.get({ calendarId: team.id })).data.etag, replaced.etag);
  check("an entry is changed", (await alice.calendarList.patch({
    calendarId: team.id, colorRgbFormat: true, requestBody: { backgroundColor: "#0088aa", foregroundColor: "#ffffff", summaryOverride: "Us" },
  })).data.backgroundColor, "#0088aa");
  check("an entry is replaced", (await alice.calendarList.update({ calendarId: team.id, requestBody: { selected: true, hidden: true } })).data.hidden, true);
  check("hidden ones are left out", (await alice.calendarList.list()).data.items.length, 1);
  check("unless asked for", (await alice.calendarList.list({ showHidden: true })).data.items.length, 2);
  check("only what I own", (await alice.calendarList.list({ minAccessRole: "owner", maxResults: 1 })).data.items.length, 1);

  const { data: rule } = await alice.acl.insert({ calendarId: team.id, requestBody: { role: "reader", scope: { type: "user", value: BOB } } });
  check("a rule is made", [rule.id, rule.role], ["user:" + BOB, "reader"]);
  check("bob may add it", (await bob.calendarList.insert({ requestBody: { id: team.id } })).data.accessRole, "reader");
  check("bob has it", (await bob.calendarList.get({ calendarId: team.id })).data.summary, "The team");
  await refused("bob writes", 403, "requiredAccessLevel", () => bob.events.insert({
    calendarId: team.id, requestBody: { start: berlin("2025-06-02T10:00:00"), end: berlin("2025-06-02T11:00:00") },
  }));
  check("a rule is patched", (await alice.acl.patch({ calendarId: team.id, ruleId: rule.id, requestBody: { role: "writer" } })).data.role, "writer");
  check("a rule is updated", (await alice.acl.update({
    calendarId: team.id, ruleId: rule.id, requestBody: { role: "freeBusyReader", scope: { type: "user", value: BOB } },
  })).data.role, "freeBusyReader");
  check("a rule is read", (await alice.acl.get({ calendarId: team.id, ruleId: rule.id })).data.scope, { type: "user", value: BOB });
  const { data: rules } = await alice.acl.list({ calendarId: team.id });
  check("rules", rules.items.map((one) => one.role).sort(), ["freeBusyReader", "owner"]);
  await alice.acl.delete({ calendarId: team.id, ruleId: rule.id });
  check("a gone rule is told", (await alice.acl.list({ calendarId: team.id, syncToken: rules.nextSyncToken })).data.items.map((one) => one.role), ["none"]);
  await refused("bob reads no more", 404, "notFound", () => bob.events.list({ calendarId: team.id }));
  await bob.calendarList.delete({ calendarId: team.id });
  await refused("it is off bob's list", 404, "notFound", () => bob.calendarList.get({ calendarId: team.id }));
  await refused("primary stays", 400, "cannotDeletePrimaryCalendar", () => alice.calendars.delete({ calendarId }));
  await alice.calendars.delete({ calendarId: team.id });
  const gone = await alice.calendarList.list({ syncToken: changes.data.nextSyncToken });
  check("a gone calendar is told", gone.data.items.map((one) => [one.id, one.deleted]), [[team.id, true]]);
  const { data: colours } = await alice.colors.get();
  check("colours", [Object.keys(colours.event).length, Object.keys(colours.calendar).length, colours.event["11"].background], [11, 24, "#dc2127"]);
  check("a setting", (await alice.settings.get({ setting: "timezone" })).data.value, "Europe/Berlin");
  const settings = (await alice.settings.list({ maxResults: 5 })).data;
  check("settings come in pages", [settings.items.length, typeof settings.nextPageToken, settings.nextSyncToken], [5, "string", undefined]);
}

async function single() {
  const { data: made } = await alice.events.insert({
    calendarId, sendUpdates: "all", supportsAttachments: true, requestBody: {
      id: "lunch0001", summary: "Lunch", location: "Canteen", start: berlin("2025-06-02T12:00:00"), end: berlin("2025-06-02T13:00:00"),
      attendees: [{ email: BOB }, { email: "carol@elsewhere.test", optional: true }], visibility: "private", transparency: "opaque",
      extendedProperties: { private: { ours: "1" }, shared: { project: "x" } }, reminders: { useDefault: false, overrides: [{ method: "popup", minutes: 5 }] },
      attachments: [{ fileUrl: "https://drive.google.com/file/d/abc123/view", title: "Menu" }],
    },
  });
  check("made", only(made, "id", "status", "iCalUID", "eventType", "sequence", "transparency", "visibility", "start"), {
    id: "lunch0001", status: "confirmed", iCalUID: "lunch0001@google.com", eventType: "default", sequence: 0, transparency: undefined,
    visibility: "private", start: berlin("2025-06-02T12:00:00+02:00"),
  });
  check("an attachment", made.attachments[0].fileId, "abc123");
  check("who made it", [made.creator, made.organizer.self], [{ email: ALICE, self: true }, true]);
  await refused("the same id again", 409, "duplicate", () => alice.events.insert({
    calendarId, requestBody: { id: "lunch0001", start: berlin("2025-06-02T12:00:00"), end: berlin("2025-06-02T13:00:00") },
  }));
  const copy = (await bob.events.get({ calendarId, eventId: "lunch0001" })).data;
  check("bob's copy", [copy.organizer.email, copy.organizer.self, copy.extendedProperties, copy.reminders],
    [ALICE, undefined, { shared: { project: "x" } }, { useDefault: true }]);
  check("bob is asked", copy.attendees.find((one) => one.self).responseStatus, "needsAction");
  copy.attendees.find((one) => one.self).responseStatus = "accepted";
  await bob.events.patch({ calendarId, eventId: copy.id, sendUpdates: "all", requestBody: { attendees: copy.attendees } });
  const seen = (await alice.events.get({ calendarId, eventId: "lunch0001" })).data;
  check("alice sees the answer", seen.attendees.map((one) => [one.email, one.responseStatus]), [[BOB, "accepted"], ["carol@elsewhere.test", "needsAction"]]);
  await refused("bob renames it", 403, "forbiddenForNonOrganizer", () => bob.events.patch({ calendarId, eventId: copy.id, requestBody: { summary: "Dinner" } }));
  await refused("an old version", 412, "conditionNotMet", () => alice.events.patch(
    { calendarId, eventId: "lunch0001", requestBody: { summary: "x" } }, { headers: { "If-Match": made.etag } }));
  const patched = (await alice.events.patch(
    { calendarId, eventId: "lunch0001", requestBody: { summary: "Long lunch", end: { dateTime: "2025-06-02T14:00:00+02:00" }, location: null } },
    { headers: { "If-Match": seen.etag } })).data;
  check("patched", [patched.summary, patched.location, patched.end, patched.sequence], ["Long lunch", undefined, berlin("2025-06-02T14:00:00+02:00"), 1]);
  const whole = (await alice.events.update({ calendarId, eventId: "lunch0001", requestBody: { ...patched, summary: "Replaced", visibility: undefined } })).data;
  check("updated", [whole.summary, whole.visibility, whole.sequence], ["Replaced", undefined, 1]);
  check("a part of the answer", (await alice.events.get({ calendarId, eventId: "lunch0001", fields: "id,start/dateTime,attendees(email)" })).data, {
    id: "lunch0001", start: { dateTime: "2025-06-02T12:00:00+02:00" }, attendees: [{ email: BOB }, { email: "carol@elsewhere.test" }],
  });
  check("in another zone", (await alice.events.get({ calendarId, eventId: "lunch0001", timeZone: "America/New_York" })).data.start,
    { dateTime: "2025-06-02T06:00:00-04:00", timeZone: "Europe/Berlin" });
  const found = (await alice.events.list({
    calendarId, q: "replaced", privateExtendedProperty: ["ours=1"], sharedExtendedProperty: ["project=x"], iCalUID: "lunch0001@google.com", maxAttendees: 1,
  })).data;
  check("found by all filters", found.items.map((one) => [one.id, one.attendeesOmitted]), [["lunch0001", true]]);
  check("not by a wrong property", (await alice.events.list({ calendarId, privateExtendedProperty: ["ours=2"] })).data.items, []);
  await alice.events.delete({ calendarId, eventId: "lunch0001", sendUpdates: "none" });
  await refused("deleted twice", 410, "deleted", () => alice.events.delete({ calendarId, eventId: "lunch0001" }));
  check("still told", (await alice.events.get({ calendarId, eventId: "lunch0001" })).data.status, "cancelled");
  check("gone for bob", (await bob.events.get({ calendarId, eventId: "lunch0001" })).data.status, "cancelled");
}

async function series() {
  const { data: first } = await alice.events.list({ calendarId });
  const { data: master } = await alice.events.insert({
    calendarId, requestBody: {
      id: "standup1", summary: "Standup", start: berlin("2025-03-17T09:00:00"), end: berlin("2025-03-17T09:15:00"), recurrence: ["RRULE:FREQ=WEEKLY;COUNT=4"],
    },
  });
  check("a series", [master.recurrence, master.recurringEventId], [["RRULE:FREQ=WEEKLY;COUNT=4"], undefined]);
  const { data: instances } = await alice.events.instances({ calendarId, eventId: "standup1" });
  check("its instances, over the change of the clocks", instances.items.map((one) => [one.id, one.start.dateTime]), [
    ["standup1_20250317T080000Z", "2025-03-17T09:00:00+01:00"], ["standup1_20250324T080000Z", "2025-03-24T09:00:00+01:00"],
    ["standup1_20250331T070000Z", "2025-03-31T09:00:00+02:00"], ["standup1_20250407T070000Z", "2025-04-07T09:00:00+02:00"],
  ]);
  const moved = (await alice.events.patch({
    calendarId, eventId: "standup1_20250331T070000Z", requestBody: { start: berlin("2025-04-01T11:00:00"), end: berlin("2025-04-01T11:15:00") },
  })).data;
  check("an exception", only(moved, "recurringEventId", "originalStartTime", "recurrence"),
    { recurringEventId: "standup1", originalStartTime: berlin("2025-03-31T09:00:00+02:00"), recurrence: undefined });
  await alice.events.delete({ calendarId, eventId: "standup1_20250324T080000Z" });
  const increment = (await alice.events.list({ calendarId, syncToken: first.nextSyncToken })).data;
  check("what changed", increment.items.map((one) => [one.id, one.status]).sort(), [
    ["standup1", "confirmed"], ["standup1_20250324T080000Z", "cancelled"], ["standup1_20250331T070000Z", "confirmed"],
  ]);
  check("a cancelled instance tells the least", increment.items.find((one) => one.status === "cancelled"), {
    kind: "calendar#event", etag: increment.items.find((one) => one.status === "cancelled").etag, id: "standup1_20250324T080000Z", status: "cancelled",
    recurringEventId: "standup1", originalStartTime: berlin("2025-03-24T09:00:00+01:00"),
  });
  const shown = (await alice.events.list({ calendarId, singleEvents: true, orderBy: "startTime", timeMin: "2025-03-01T00:00:00Z", timeMax: "2025-05-01T00:00:00Z" })).data;
  check("as single events", shown.items.map((one) => one.start.dateTime.slice(0, 16)), ["2025-03-17T09:00", "2025-04-01T11:00", "2025-04-07T09:00"]);
  await refused("by start, but not single", 400, "badRequest", () => alice.events.list({ calendarId, orderBy: "startTime" }));
  await refused("a sync token with q", 400, "badRequest", () => alice.events.list({ calendarId, syncToken: first.nextSyncToken, q: "x" }));
  const pages = [];
  let pageToken;
  let sync;
  do {
    const { data } = await alice.events.list({ calendarId, showDeleted: true, maxResults: 2, pageToken });
    pages.push(data.items.length);
    ({ nextPageToken: pageToken, nextSyncToken: sync } = data);
    check("a token of either kind", [pageToken, sync].filter(Boolean).length, 1);
  } while (pageToken);
  check("pages", pages, [2, 2]);
  check("updated since", (await alice.events.list({ calendarId, updatedMin: master.updated, orderBy: "updated" })).data.items.at(-1).id, "standup1_20250324T080000Z");
  check("one original start", (await alice.events.instances({ calendarId, eventId: "standup1", originalStart: "2025-04-07T07:00:00Z" })).data.items.length, 1);
}

async function others() {
  const { data: room } = await alice.calendars.insert({ requestBody: { summary: "Room" } });
  const { data: event } = await alice.events.insert({ calendarId, requestBody: { summary: "Move me", start: { date: "2025-07-01" }, end: { date: "2025-07-02" } } });
  const { data: moved } = await alice.events.move({ calendarId, eventId: event.id, destination: room.id });
  check("moved", [moved.id, moved.organizer.email, moved.start], [event.id, room.id, { date: "2025-07-01" }]);
  check("gone from here", (await alice.events.get({ calendarId, eventId: event.id })).data.status, "cancelled");
  const { data: imported } = await alice.events.import({
    calendarId, requestBody: {
      iCalUID: "from@elsewhere.test", summary: "Imported", organizer: { email: "dora@elsewhere.test" }, start: berlin("2025-07-03T10:00:00"), end: berlin("2025-07-03T11:00:00"),
    },
  });
  check("imported", [imported.iCalUID, imported.organizer.email, imported.creator.email], ["from@elsewhere.test", "dora@elsewhere.test", ALICE]);
  const { data: quick } = await alice.events.quickAdd({ calendarId, text: "Appointment at Somewhere on 2025-06-03 10am-10:25am" });
  check("quickly", [quick.summary, quick.location, quick.start.dateTime, quick.end.dateTime],
    ["Appointment", "Somewhere", "2025-06-03T10:00:00+02:00", "2025-06-03T10:25:00+02:00"]);
  const { data: meet } = await alice.events.insert({
    calendarId, conferenceDataVersion: 1, requestBody: {
      start: berlin("2025-07-04T10:00:00"), end: berlin("2025-07-04T11:00:00"),
      conferenceData: { createRequest: { requestId: "r-1", conferenceSolutionKey: { type: "hangoutsMeet" } } },
    },
  });
  check("a conference is under way", [meet.conferenceData.createRequest.status.statusCode, meet.hangoutLink], ["pending", undefined]);
  const ready = (await alice.events.get({ calendarId, eventId: meet.id })).data;
  check("and then there", [ready.conferenceData.createRequest.status.statusCode, ready.conferenceData.conferenceSolution.key.type], ["success", "hangoutsMeet"]);
  check("with a link", ready.hangoutLink, ready.conferenceData.entryPoints.find((one) => one.entryPointType === "video").uri);
  await refused("a type that cannot be made", 400, "malformedRequest", () => alice.events.insert({
    calendarId, requestBody: { eventType: "fromGmail", start: berlin("2025-07-04T10:00:00"), end: berlin("2025-07-04T11:00:00") },
  }));
  const { data: free } = await alice.freebusy.query({
    requestBody: { timeMin: "2025-07-03T00:00:00Z", timeMax: "2025-07-05T00:00:00Z", items: [{ id: ALICE }, { id: BOB }, { id: "nobody@example.com" }] },
  });
  check("busy", free.calendars[ALICE].busy, [{ start: "2025-07-03T08:00:00Z", end: "2025-07-03T09:00:00Z" }, { start: "2025-07-04T08:00:00Z", end: "2025-07-04T09:00:00Z" }]);
  check("a colleague is free", free.calendars[BOB], { busy: [] });
  check("nobody", free.calendars["nobody@example.com"].errors, [{ domain: "global", reason: "notFound" }]);
  await alice.calendars.clear({ calendarId });
  check("cleared", (await alice.events.list({ calendarId })).data.items, []);
  await refused("a stranger", 401, "authError", () => client("no-such-token").calendarList.list());
}

async function channels() {
  const heard = [];
  const server = createServer((request, response) => {
    heard.push(request.headers);
    response.end();
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const address = `http://127.0.0.1:${server.address().port}/hook`;
  const until = async (count) => {
    const deadline = Date.now() + 10000;
    while (heard.length < count) {
      if (Date.now() > deadline) throw new Error(`${heard.length} notifications, not ${count}`);
      await new Promise((soon) => setTimeout(soon, 10));
    }
  };
  const requestBody = { id: "channel-1", type: "web_hook", address, token: "secret", params: { ttl: "3600" } };
  const { data: channel } = await alice.events.watch({ calendarId, requestBody });
  check("a channel", [channel.id, channel.token, Math.abs(Number(channel.expiration) - Date.now() - 3600000) < 60000], ["channel-1", "secret", true]);
  await until(1);
  check("the first word", [heard[0]["x-goog-resource-state"], heard[0]["x-goog-message-number"], heard[0]["x-goog-channel-token"], heard[0]["x-goog-resource-id"]],
    ["sync", "1", "secret", channel.resourceId]);
  await refused("the same id again", 400, "channelIdNotUnique", () => alice.events.watch({ calendarId, requestBody }));
  await alice.events.quickAdd({ calendarId, text: "Something 2025-08-01" });
  await until(2);
  check("a change", [heard[1]["x-goog-resource-state"], Number(heard[1]["x-goog-message-number"]) > 1], ["exists", true]);
  for (const [name, watch] of [["calendarList", alice.calendarList], ["settings", alice.settings]]) {
    const { data } = await watch.watch({ requestBody: { ...requestBody, id: "channel-" + name } });
    await until(heard.length);
    await alice.channels.stop({ requestBody: { id: data.id, resourceId: data.resourceId } });
  }
  const rules = (await alice.acl.watch({ calendarId, requestBody: { ...requestBody, id: "channel-acl" } })).data;
  await alice.channels.stop({ requestBody: { id: rules.id, resourceId: rules.resourceId } });
  await alice.channels.stop({ requestBody: { id: channel.id, resourceId: channel.resourceId } });
  await refused("stopped twice", 404, "notFound", () => alice.channels.stop({ requestBody: { id: channel.id, resourceId: channel.resourceId } }));
  server.close();
}

async function authorization() {
  const oauth = new auth.OAuth2({
    clientId: "the-client", clientSecret: "its-secret", redirectUri: "http://127.0.0.1:9/callback",
    endpoints: { oauth2AuthBaseUrl: setting.url + "/o/oauth2/v2/auth", oauth2TokenUrl: setting.url + "/token", oauth2RevokeUrl: setting.url + "/revoke", tokenInfoUrl: setting.url + "/tokeninfo" },
  });
  const { codeVerifier, codeChallenge } = await oauth.generateCodeVerifierAsync();
  const scope = ["openid", "email", "https://www.googleapis.com/auth/calendar.readonly"];
  const url = oauth.generateAuthUrl({
    access_type: "offline", prompt: "consent", scope, state: "state & more", login_hint: BOB, code_challenge: codeChallenge, code_challenge_method: "S256",
  });
  const sent = await fetch(url, { redirect: "manual" });
  const back = new URL(sent.headers.get("location"));
  check("sent back", [sent.status, back.origin + back.pathname, back.searchParams.get("state")], [302, "http://127.0.0.1:9/callback", "state & more"]);
  const code = back.searchParams.get("code");
  await refused("a wrong verifier", 400, "invalid_grant", () => oauth.getToken({ code, codeVerifier: "x".repeat(64) }));
  const { tokens } = await oauth.getToken({ code, codeVerifier });
  check("tokens", [tokens.scope.split(" "), tokens.token_type, typeof tokens.refresh_token], [scope, "Bearer", "string"]);
  const claims = JSON.parse(Buffer.from(tokens.id_token.split(".")[1], "base64url"));
  check("who it is", [claims.email, claims.aud, claims.iss], [BOB, "the-client", "https://accounts.google.com"]);
  await refused("a code twice", 400, "invalid_grant", () => oauth.getToken({ code, codeVerifier }));
  await refused("a code that came twice ends what it gave", 400, "invalid_token", () => oauth.getTokenInfo(tokens.access_token));
  const again = new URL((await fetch(url, { redirect: "manual" })).headers.get("location")).searchParams.get("code");
  const fresh = await oauth.getToken({ code: again, codeVerifier });
  check("a token is told about", (await oauth.getTokenInfo(fresh.tokens.access_token)).email, BOB);
  oauth.setCredentials({ refresh_token: fresh.tokens.refresh_token });
  const api = make({ version: "v3", auth: oauth, rootUrl: setting.url + "/", retry: false });
  check("refreshed and used", (await api.calendarList.list()).data.items[0].id, BOB);
  await refused("beyond its scope", 403, "insufficientPermissions", () => api.events.quickAdd({ calendarId, text: "x" }));
  await oauth.revokeToken(oauth.credentials.access_token);
  oauth.setCredentials({ refresh_token: fresh.tokens.refresh_token });
  await refused("revoked", 400, "invalid_grant", () => api.calendarList.list());
}

for (const part of [calendars, single, series, others, channels, authorization]) await part();
finish();

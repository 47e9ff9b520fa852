// The vendor's @googleapis/people, unmodified but for its root URL: contacts, other contacts, the directory.
import { check, finish, refused, require, setting } from "./checks.mjs";

const { people: make, auth } = require("@googleapis/people");

function client(token) {
  const credentials = new auth.OAuth2();
  credentials.setCredentials({ access_token: token });
  return make({ version: "v1", auth: credentials, rootUrl: setting.url + "/", retry: false });
}

const { people, otherContacts } = client(setting.tokens.alice);
const personFields = "names,emailAddresses,phoneNumbers,organizations,metadata";
const me = { resourceName: "people/me", personFields };

async function contacts() {
  const first = (await people.connections.list({ ...me, requestSyncToken: true })).data;
  check("nobody yet", [first.connections, first.totalItems, typeof first.nextSyncToken], [undefined, 0, "string"]);
  const { data: ada } = await people.createContact({
    personFields, requestBody: {
      names: [{ givenName: "Ada", familyName: "Lovelace" }], emailAddresses: [{ value: "ada@engines.test", type: "work" }],
      phoneNumbers: [{ value: "+44 20 7946 0001", type: "mobile" }], organizations: [{ name: "Engines", title: "Analyst" }],
    },
  });
  check("made", [ada.names[0].displayName, ada.names[0].metadata.primary, ada.emailAddresses[0].formattedType, ada.phoneNumbers[0].canonicalForm],
    ["Ada Lovelace", true, "Work", "+442079460001"]);
  check("its source", ada.metadata.sources[0].type, "CONTACT");
  check("read", (await people.get({ resourceName: ada.resourceName, personFields: "names" })).data.emailAddresses, undefined);
  await refused("without a mask", 400, "INVALID_ARGUMENT", () => people.get({ resourceName: ada.resourceName }));
  await refused("two names", 400, "INVALID_ARGUMENT", () => people.createContact({ requestBody: { names: [{ givenName: "A" }, { givenName: "B" }] } }));
  const { data: updated } = await people.updateContact({
    resourceName: ada.resourceName, updatePersonFields: "organizations,phoneNumbers", personFields,
    requestBody: { etag: ada.etag, metadata: { sources: ada.metadata.sources }, organizations: [{ name: "Engines", title: "Countess" }] },
  });
  check("updated", [updated.organizations[0].title, updated.phoneNumbers, updated.names[0].givenName], ["Countess", undefined, "Ada"]);
  await refused("an old version", 400, "FAILED_PRECONDITION", () => people.updateContact({
    resourceName: ada.resourceName, updatePersonFields: "organizations", requestBody: { etag: ada.etag, metadata: { sources: ada.metadata.sources } },
  }));
  await refused("no version", 400, "INVALID_ARGUMENT", () => people.updateContact({
    resourceName: ada.resourceName, updatePersonFields: "organizations", requestBody: { organizations: [] },
  }));
  const { data: batch } = await people.batchCreateContacts({
    requestBody: { readMask: "names,metadata", contacts: ["Bea", "Cy"].map((givenName) => ({ contactPerson: { names: [{ givenName }] } })) },
  });
  check("made together", batch.createdPeople.map((one) => one.person.names[0].displayName), ["Bea", "Cy"]);
  const [bea, cy] = batch.createdPeople.map((one) => one.person);
  const { data: result } = await people.batchUpdateContacts({
    requestBody: {
      updateMask: "names", readMask: "names",
      contacts: { [bea.resourceName]: { etag: bea.etag, metadata: { sources: bea.metadata.sources }, names: [{ givenName: "Beatrix" }] } },
    },
  });
  check("updated together", result.updateResult[bea.resourceName].person.names[0].givenName, "Beatrix");
  const { data: some } = await people.getBatchGet({ resourceNames: [ada.resourceName, "people/c1"], personFields: "names" });
  check("read together", some.responses.map((one) => [one.httpStatusCode, one.person?.names[0].givenName]), [[200, "Ada"], [404, undefined]]);

  const pages = [];
  let pageToken;
  let last;
  do {
    last = (await people.connections.list({ ...me, pageSize: 2, pageToken, requestSyncToken: true, sortOrder: "FIRST_NAME_ASCENDING" })).data;
    pages.push(last.connections.map((one) => one.names[0].givenName));
    pageToken = last.nextPageToken;
  } while (pageToken);
  check("pages by first name", pages, [["Ada", "Beatrix"], ["Cy"]]);
  await people.deleteContact({ resourceName: cy.resourceName });
  const increment = (await people.connections.list({ ...me, requestSyncToken: true, syncToken: first.nextSyncToken })).data;
  check("since the beginning", increment.connections.map((one) => [one.resourceName, one.metadata.deleted]).sort(),
    [[ada.resourceName, undefined], [bea.resourceName, undefined], [cy.resourceName, true]].sort());
  check("nothing since then", (await people.connections.list({ ...me, syncToken: increment.nextSyncToken })).data.connections, undefined);
  await refused("other fields with a token", 400, "INVALID_ARGUMENT", () => people.connections.list({
    resourceName: "people/me", personFields: "names", syncToken: increment.nextSyncToken,
  }));
  await refused("deleted twice", 404, "NOT_FOUND", () => people.deleteContact({ resourceName: cy.resourceName }));

  check("not warm", (await people.searchContacts({ query: "ada", readMask: "names" })).data.results, undefined);
  await people.searchContacts({ query: "", readMask: "names" });
  check("by a name", (await people.searchContacts({ query: "love", readMask: "names" })).data.results.map((one) => one.person.names[0].givenName), ["Ada"]);
  check("not by the middle of a word", (await people.searchContacts({ query: "ove", readMask: "names" })).data.results, undefined);
  await people.batchDeleteContacts({ requestBody: { resourceNames: [ada.resourceName, bea.resourceName] } });
  check("all gone", (await people.connections.list(me)).data.totalItems, 0);
  await fetch(setting.url + "/_emulator/advance", { method: "POST", body: JSON.stringify({ seconds: 8 * 86400 }) });
  await refused("a week later", 400, "EXPIRED_SYNC_TOKEN", () => people.connections.list({ ...me, syncToken: increment.nextSyncToken }));
}

async function others() {
  await fetch(setting.url + "/_emulator/other-contacts", { method: "POST", body: JSON.stringify({ user: "alice@example.com", email: "dora@elsewhere.test", name: "Dora" }) });
  const readMask = "names,emailAddresses";
  const { data: list } = await otherContacts.list({ readMask, requestSyncToken: true });
  check("met", list.otherContacts.map((one) => [one.names[0].givenName, one.emailAddresses[0].value]), [["Dora", "dora@elsewhere.test"]]);
  await otherContacts.search({ query: "", readMask });
  check("found", (await otherContacts.search({ query: "dor", readMask })).data.results.length, 1);
  const { data: copied } = await otherContacts.copyOtherContactToMyContactsGroup({
    resourceName: list.otherContacts[0].resourceName, requestBody: { copyMask: readMask },
  });
  check("copied", [copied.names[0].givenName, copied.memberships[0].contactGroupMembership.contactGroupResourceName], ["Dora", "contactGroups/myContacts"]);
  check("and told", (await otherContacts.list({ readMask, syncToken: list.nextSyncToken })).data.otherContacts[0].metadata.deleted, true);
}

async function directory() {
  const sources = ["DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE"];
  const readMask = "names,emailAddresses";
  const { data } = await people.listDirectoryPeople({ sources, readMask, requestSyncToken: true });
  check("colleagues", data.people.map((one) => one.emailAddresses[0].value), ["alice@example.com", "bob@example.com"]);
  check("one of them", (await people.searchDirectoryPeople({ sources, readMask, query: "bob" })).data.people.map((one) => one.names[0].displayName), ["Bob"]);
  check("pages", (await people.listDirectoryPeople({ sources, readMask, pageSize: 1 })).data.people.length, 1);
  check("oneself", (await people.get({ resourceName: "people/me", personFields: "emailAddresses" })).data.emailAddresses[0].value, "alice@example.com");
  await refused("a stranger", 401, "UNAUTHENTICATED", () => client("no").people.get({ resourceName: "people/me", personFields: "names" }));
}

for (const part of [contacts, others, directory]) await part();
finish();

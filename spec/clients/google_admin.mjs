// The vendor's @googleapis/admin, unmodified but for its root URL: rooms, their buildings and features, the domain's users.
import { check, finish, refused, require, setting } from "./checks.mjs";

const { admin: make, auth } = require("@googleapis/admin");

function client(token) {
  const credentials = new auth.OAuth2();
  credentials.setCredentials({ access_token: token });
  return make({ version: "directory_v1", auth: credentials, rootUrl: setting.url + "/", retry: false });
}

const { resources, users } = client(setting.tokens.alice);
const customer = "my_customer";

const { data: house } = await resources.buildings.insert({
  customer, requestBody: { buildingId: "HQ", buildingName: "Head quarters", floorNames: ["G", "1"], address: { regionCode: "DE", addressLines: ["Turmstr. 1"] } },
});
check("a building", [house.kind, house.buildingName, house.floorNames], ["admin#directory#resources#buildings#Building", "Head quarters", ["G", "1"]]);
for (const name of ["Phone", "Screen"]) await resources.features.insert({ customer, requestBody: { name } });
check("features", (await resources.features.list({ customer })).data.features.map((one) => one.name), ["Phone", "Screen"]);

const made = [];
for (const [resourceId, resourceName, floorName, capacity, features] of [["r-1", "Ada", "1", 8, ["Phone", "Screen"]], ["r-2", "Grace", "G", 20, ["Screen"]], ["r-3", "Emmy", "1", 4, []]]) {
  made.push((await resources.calendars.insert({
    customer, requestBody: {
      resourceId, resourceName, floorName, capacity, buildingId: "HQ", resourceCategory: "CONFERENCE_ROOM", featureInstances: features.map((name) => ({ feature: { name } })),
    },
  })).data);
}
check("a room", [made[0].generatedResourceName, made[0].featureInstances.map((one) => one.feature.name)], ["HQ-1-Ada (8)", ["Phone", "Screen"]]);
check("with an address", /^c_[0-9a-f]+@resource\.calendar\.google\.com$/.test(made[0].resourceEmail));
await refused("the same id", 409, "duplicate", () => resources.calendars.insert({ customer, requestBody: { resourceId: "r-1", resourceName: "Again" } }));
await refused("no such building", 400, "invalid", () => resources.calendars.insert({ customer, requestBody: { resourceId: "r-9", resourceName: "X", buildingId: "none" } }));

const listed = async (options) => (await resources.calendars.list({ customer, ...options })).data.items?.map((one) => one.resourceName) ?? [];
check("by id", await listed({}), ["Ada", "Grace", "Emmy"]);
check("by size, the largest first", await listed({ orderBy: "buildingId, capacity desc" }), ["Grace", "Ada", "Emmy"]);
check("with a phone", await listed({ query: "featureInstances.feature.name:Pho* AND buildingId=HQ" }), ["Ada"]);
check("not on that floor", await listed({ query: "NOT floor_name=1" }), ["Grace"]);
const page = (await resources.calendars.list({ customer, maxResults: 2 })).data;
check("a page", page.items.length, 2);
check("the next", await listed({ maxResults: 2, pageToken: page.nextPageToken }), ["Emmy"]);

const patched = (await resources.calendars.patch({ customer, calendarResourceId: "r-3", requestBody: { capacity: 6 } })).data;
check("patched", [patched.capacity, patched.resourceName, patched.generatedResourceName], [6, "Emmy", "HQ-1-Emmy (6)"]);
const updated = (await resources.calendars.update({ customer, calendarResourceId: "r-3", requestBody: { resourceId: "r-3", resourceName: "Noether" } })).data;
check("updated", [updated.resourceName, updated.capacity, updated.resourceCategory], ["Noether", undefined, "CATEGORY_UNKNOWN"]);
check("read", (await resources.calendars.get({ customer, calendarResourceId: "r-3" })).data.etags, updated.etags);
await resources.calendars.delete({ customer, calendarResourceId: "r-3" });
await refused("deleted", 404, "notFound", () => resources.calendars.get({ customer, calendarResourceId: "r-3" }));
check("buildings", (await resources.buildings.list({ customer })).data.buildings.map((one) => one.buildingId), ["HQ"]);
check("a building read", (await resources.buildings.get({ customer, buildingId: "HQ" })).data.address.regionCode, "DE");
check("a building renamed", (await resources.buildings.patch({ customer, buildingId: "HQ", requestBody: { buildingName: "Tower" } })).data.buildingName, "Tower");

check("users", (await users.list({ customer })).data.users.map((one) => [one.primaryEmail, one.isAdmin]), [["alice@example.com", true], ["bob@example.com", false]]);
check("a user", (await users.get({ userKey: "bob@example.com" })).data.name.fullName, "Bob");
await refused("not for all", 403, "forbidden", () => client(setting.tokens.bob).resources.calendars.list({ customer }));
finish();

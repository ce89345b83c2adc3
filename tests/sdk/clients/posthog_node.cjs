// PostHog's library for Node.js: every call of it that sends an event.

const { PostHog } = require("posthog-node");

const timestamp = new Date("2026-03-01T12:00:00Z");
const client = new PostHog("key", { host: process.argv[2] });

client.capture({
  distinctId: "u1",
  event: "Product Added",
  properties: { product_id: "k1", name: "Kettle", price: 18.99, quantity: 2, cart_id: "c1", gift_wrap: "red" },
  timestamp,
});
client.capture({ distinctId: "u1", event: "wheel_spun", properties: { prize: null, spins: 3 }, timestamp });
client.capture({ distinctId: "u1", event: "$pageview", properties: { $current_url: "https://shop.example/" }, timestamp });
client.identify({ distinctId: "u1", properties: { $set: { email: "ann@example.org", phone: null, tier: "gold" }, $anon_distinct_id: "ann" } });
client.setPersonProperties({ distinctId: "u1", properties: { plan: "gold" }, propertiesOnce: { first_seen: "spring" } });
client.unsetPersonProperties({ distinctId: "u1", properties: ["plan"] });
client.groupIdentify({ groupType: "company", groupKey: "g1", properties: { plan: "trial" }, distinctId: "u1" });
client.alias({ distinctId: "old", alias: "u1" });
client.captureException(new Error("the kettle is cold"), "u1");
client.withContext({ distinctId: "u1", sessionId: "0195a3c0-0000-7000-8000-000000000001" }, () => {
  client.capture({ event: "Checkout Started", timestamp });
});
client.shutdown();

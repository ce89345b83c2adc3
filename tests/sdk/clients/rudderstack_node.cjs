// RudderStack's library for Node.js: every call that it has.

const Analytics = require("@rudderstack/rudder-sdk-node");

const timestamp = new Date("2026-03-01T12:00:00Z");
const analytics = new Analytics("key", { dataPlaneUrl: process.argv[2] });

analytics.identify({ userId: "u1", anonymousId: "ann", traits: { email: "ann@example.org", phone: null, tier: "gold" }, timestamp });
analytics.track({
  userId: "u1",
  anonymousId: "ann",
  event: "Product Added",
  properties: { product_id: "k1", name: "Kettle", price: 18.99, quantity: 2, cart_id: "c1", gift_wrap: "red" },
  timestamp,
});
analytics.track({ anonymousId: "ann", event: "Wheel Spun", properties: { prize: null, spins: 3 }, timestamp });
analytics.page({ userId: "u1", category: "shop", name: "Home", properties: { url: "https://shop.example/", theme: "dark" }, timestamp });
analytics.screen({ userId: "u1", category: "shop", name: "Cart", properties: { items: 2 }, timestamp });
analytics.group({ userId: "u1", groupId: "g1", traits: { plan: "trial" }, timestamp });
analytics.alias({ userId: "u1", previousId: "old", timestamp });
analytics.flush();

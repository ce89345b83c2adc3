// Segment's library for Node.js: every call that it has.

const { Analytics } = require("@segment/analytics-node");

const timestamp = new Date("2026-03-01T12:00:00Z");
const analytics = new Analytics({ writeKey: "key", host: process.argv[2], path: "/v1/batch" });

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
analytics.closeAndFlush();

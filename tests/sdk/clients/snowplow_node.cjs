// Snowplow's tracker for Node.js: every kind of event, in the plugin's words for shops and in the older ones.

const snowplow = require("@snowplow/node-tracker");

const SHOP = "iglu:com.snowplowanalytics.snowplow.ecommerce";
const KETTLE = { id: "k1", name: "Kettle", category: "Kitchen", price: 18.99, quantity: 2, currency: "EUR" };
const MUG = { id: "m1", category: "Kitchen", price: 4.5, currency: "EUR", brand: "Clay" };
const pageUrl = "https://shop.example/?utm_source=letter&utm_campaign=spring";

const tracker = snowplow.newTracker(
  { namespace: "shop", appId: "shop" },
  { endpoint: process.argv[2], bufferSize: 50, eventMethod: "post" },
);
tracker.setPlatform("web");
tracker.setUserId("u1");
tracker.setDomainUserId("ann");
tracker.setSessionId("s1");

const entity = (name, data) => ({ schema: `${SHOP}/${name}/jsonschema/1-0-0`, data });
const track = (event, context = []) => tracker.track(event, context, { type: "ttm", value: 1772366400000 });
const tell = (schema, data, context) => track(snowplow.buildSelfDescribingEvent({ event: { schema, data } }), context);
const act = (type, ...entities) => tell(`${SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2`, { type }, entities);

const referrer = "https://search.example/";
const page = { pageUrl, pageTitle: "Home", referrer };
track(snowplow.buildPageView(page), [entity("user", { id: "u1", email: "ann@example.org" })]);
track(snowplow.buildPagePing({ ...page, minXOffset: 0, maxXOffset: 0, minYOffset: 0, maxYOffset: 900 }));
track(snowplow.buildStructEvent({ category: "offers", action: "spin", label: "wheel", property: "red", value: 3.5 }));
tell("iglu:org.example/wheelSpun/jsonschema/2-0-1", { prize: "mug", spins: 3, odds: [1, 2] });
act("product_view", entity("product", KETTLE));
const cart = entity("cart", { cart_id: "c1", total_value: 42.48, currency: "EUR" });
act("add_to_cart", entity("product", KETTLE), entity("product", MUG), cart);
act("checkout_step", entity("checkout_step", { step: 1 }));
act("checkout_step", entity("checkout_step", { step: 2, payment_method: "card" }));
const order = { transaction_id: "o1", revenue: 42.48, currency: "EUR", payment_method: "card", total_quantity: 3 };
act("transaction", entity("product", KETTLE), entity("product", MUG), entity("transaction", order));
act("refund", entity("refund", { transaction_id: "o1", currency: "EUR", refund_amount: 4.5 }));
act("promo_view", entity("promotion", { id: "p1", slot: "top" }));
track(snowplow.buildScreenView({ id: "1", name: "Basket" }));
track(snowplow.buildSiteSearch({ terms: ["red", "kettle"], totalResults: 7 }));
track(snowplow.buildLinkClick({ targetUrl: "https://shop.example/help" }));
const pot = { sku: "k2", quantity: 1, name: "Pot", category: "Kitchen", unitPrice: 30, currency: "EUR" };
track(snowplow.buildAddToCart(pot));
track(snowplow.buildRemoveFromCart(pot));
track(snowplow.buildEcommerceTransaction({ orderId: "o2", total: 30, currency: "EUR" }));
track(snowplow.buildEcommerceTransactionItem({ orderId: "o2", sku: "k2", price: 30, quantity: 1, currency: "EUR" }));
tracker.flush();

from operators.rule_book import *
from operators.refractory import Refractory
from operators.attribution import WINDOWS, Attribution
from operators.consent import ConsentRules
from config.zones import zones
from config.expressions import compile_condition
from operators.facts import SCHEMA
H=3600_000; D=24*H
def book(offer_views=3, offer_cooldown_ms=D, abandonment_cooldown_ms=7*D, returning_cooldown_ms=12*H, declined_ms=30*D, expires_ms=12*H, **_):
    pol=Policy(ConsentRules(dict(email=True,onsite=True,chat=True,agent=True,crm=True,sms=False), frozenset({"transactional","service"})), zones("UTC",{}), Attribution(WINDOWS))
    if declined_ms: pol.pauses=[Refractory("all",1,declined_ms,declined_ms)]
    rules=[]
    for i in ("cart","checkout","browse"):
        r=Rule(f"{i}_abandoned",1,f"{i}_abandoned","cart",(f"{i}.timer",)); r.channels=("email","onsite"); r.cooldown_ms=abandonment_cooldown_ms; r.per="cart"; r.expires_ms=expires_ms; rules.append(r)
    r=Rule("returning_visitor",1,"returning_visitor","journey",(RETURNED,)); r.channels=("onsite",); r.cooldown_ms=returning_cooldown_ms;r.expires_ms=expires_ms; rules.append(r)
    r=Rule("offer_prompt",1,"offer_prompt","offer",("product_viewed",)); r.channels=("onsite",); r.cooldown_ms=offer_cooldown_ms; r.per="product"; r.when=compile_condition(f"event.product.views >= {offer_views}", SCHEMA);r.expires_ms=expires_ms; rules.append(r)
    return Book("b"*12, rules, pol, 30_000)

from operators.rule_book import *
from operators.refractory import Refractory
from operators.attribution import WINDOWS, Attribution
from operators.consent import ConsentRules
from config.zones import zones
from config.expressions import compile_condition
from operators.facts import SCHEMA
H=3600_000; D=24*H
from config.durations import parse_duration as pd
def book(offer_views=3, offer_cooldown="1d", abandonment_cooldown="7d", returning_cooldown="12h", declined="30d", expires="12h"):
    offer_cooldown_ms=pd(offer_cooldown); abandonment_cooldown_ms=pd(abandonment_cooldown); returning_cooldown_ms=pd(returning_cooldown); declined_ms=pd(declined); expires_ms=pd(expires)
    pol=Policy(ConsentRules(dict(email=True,onsite=True,chat=True,agent=True,crm=True,sms=False), frozenset({"transactional","service"})), zones("UTC",{}), Attribution(WINDOWS))
    if declined_ms: pol.pauses=[Refractory("all",1,declined_ms,declined_ms)]
    rules=[]
    for i in ("cart","checkout","browse"):
        r=Rule(f"{i}_abandoned",1,f"{i}_abandoned","cart",(f"{i}.timer",)); r.channels=("email","onsite"); r.cooldown_ms=abandonment_cooldown_ms; r.per="cart"; r.expires_ms=expires_ms; rules.append(r)
    r=Rule("returning_visitor",1,"returning_visitor","journey",(RETURNED,)); r.channels=("onsite",); r.cooldown_ms=returning_cooldown_ms;r.expires_ms=expires_ms; rules.append(r)
    r=Rule("offer_prompt",1,"offer_prompt","offer",("product_viewed",)); r.channels=("onsite",); r.cooldown_ms=offer_cooldown_ms; r.per="product"; r.when=compile_condition(f"event.product.views >= {offer_views}", SCHEMA);r.expires_ms=expires_ms; rules.append(r)
    return Book("b"*12, rules, pol, 30_000)

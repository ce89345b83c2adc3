"""
What Kafka needs can be said in a file or the environment, and no secret in it is ever shown.
"""

from pathlib import Path

import pytest
import yaml

from config.kafka import REFUSED, KafkaSettings
from config.load import ConfigError, describe, load
from config.settings import CheckpointSettings, Settings, TelemetrySettings


def loaded(tmp_path: Path, content: str, **environ: str) -> Settings:
    """
    The settings of a file and the environment.
    """
    file = tmp_path / "prod.yaml"
    file.write_text(content, encoding="utf-8")
    return load(file, environ)


def refusal(tmp_path: Path, content: str, **environ: str) -> str:
    """
    Why a file and the environment are refused, without the file's folder.
    """
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, content, **environ)
    return str(raised.value).replace(f"{tmp_path}/", "")


def test_a_file_says_where_kafka_is_and_what_is_read(tmp_path: Path) -> None:
    """
    Every setting of the new sections is read as it is written.
    """
    settings = loaded(
        tmp_path,
        "kafka:\n"
        "  servers: kafka-1:9092,kafka-2:9092\n"
        "  topics:\n  - web\n  - ^shop-(eu|us)$\n"
        "  group: shop\n"
        "  start: 2026-11-20T08:00:00Z\n"
        "  discover: 5s\n"
        "  prefix: shop.\n"
        "  compression: zstd\n"
        "  linger: 0\n"
        "  queue_max: 1_000\n"
        "  username: nextmove\n"
        "  password: s3cret word\n"
        "  client: {security.protocol: SASL_SSL, fetch.wait.max.ms: 50, enable.random.seed: no, x.ratio: 0.5}\n"
        "checkpoint: {folder: /var/lib/nextmove}\n"
        "telemetry: {port: 9400, host: 127.0.0.1}\n",
    )
    assert settings == Settings(
        kafka=KafkaSettings(
            servers="kafka-1:9092,kafka-2:9092",
            topics=("web", "^shop-(eu|us)$"),
            group="shop",
            start="2026-11-20T08:00:00Z",
            discover_ms=5_000,
            prefix="shop.",
            compression="zstd",
            linger_ms=0,
            queue_max=1_000,
            username="nextmove",
            password="s3cret word",  # noqa: S106 - the test's own
            client={
                "security.protocol": "SASL_SSL",
                "fetch.wait.max.ms": 50,
                "enable.random.seed": False,
                "x.ratio": 0.5,
            },
        ),
        checkpoint=CheckpointSettings(folder="/var/lib/nextmove"),
        telemetry=TelemetrySettings(port=9_400, host="127.0.0.1"),
    )


def test_a_client_with_all_lines_commented_out_is_empty(tmp_path: Path) -> None:
    """
    Nothing under `client` is no setting of librdkafka's, as for a section.
    """
    assert loaded(tmp_path, "kafka:\n  client:\n    # debug: broker\n") == Settings()


TOPIC = "each 1 to 1000 ASCII characters without spaces"
START = "earliest, latest or an instant from 1970 on with its offset, such as 2026-11-20T08:00:00Z"
CLIENT = "a mapping whose keys are 1 to 100 of a-z, 0-9 and ., each to text, a number, true or false"


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("servers: 'a:1, b:1'", "servers is a:1, b:1 but must be 0 to 4096 ASCII characters without spaces"),
        ('servers: "a:1\\n"', "servers is 'a:1\\n' but must be 0 to 4096 ASCII characters without spaces"),
        ("topics: web", f"topics is web but must be a list of 1 to 1000, {TOPIC}"),
        ("topics: ", f"topics is empty but must be a list of 1 to 1000, {TOPIC}"),
        ("topics: []", f"topics is an empty list but must be a list of 1 to 1000, {TOPIC}"),
        ("topics: [web, '']", f"topics has '' but must be a list of 1 to 1000, {TOPIC}"),
        ("topics: [web, 5, '']", f"topics has 5 but must be a list of 1 to 1000, {TOPIC}"),
        ("topics: [my topic]", f"topics has my topic but must be a list of 1 to 1000, {TOPIC}"),
        (
            "topics: [web, ^shop-(eu]",
            (
                "topics has ^shop-(eu but what begins with ^ must be a regular expression:"
                " missing ), unterminated subpattern at position 6"
            ),
        ),
        (
            "topics: ['^a{99999999999999999999}']",
            (
                "topics has ^a{99999999999999999999} but what begins with ^ must be a regular expression:"
                " the repetition number is too large"
            ),
        ),
        ("group: ''", "group is '' but must be 1 to 249 ASCII characters without spaces"),
        ("start: 5", f"start is 5 but must be {START}"),
        ("start: newest", f"start is newest but must be {START}"),
        ("prefix: cx/", "prefix is cx/ but must be 0 to 200 letters, digits, dots, _ and -"),
        ("compression: brotli", "compression is brotli but must be one of gzip, lz4, none, snappy, zstd"),
        ("client: debug", f"client is text but must be {CLIENT}"),
        ("client: {SSL: x}", f"client has the key SSL but must be {CLIENT}"),
        ("client: {1: x}", f"client has the key 1 but must be {CLIENT}"),
        ("client: {debug: }", f"client has debug: empty but must be {CLIENT}"),
        ("client: {a: b, debug: [x]}", f"client has debug: no such value but must be {CLIENT}"),
        ("password: x", "password is set but kafka.username is not: a login needs both"),
    ],
)
def test_what_kafka_cannot_be_given_is_refused(tmp_path: Path, said: str, complaint: str) -> None:
    """
    One line with the key, what is wrong, and what may stand there; of a list or mapping, what in it is wrong.
    """
    assert refusal(tmp_path, f"kafka: {{{said}}}") == f"prod.yaml: kafka.{complaint}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("servers", "a" * 4_096),
        ("topics", ["a" * 1_000]),
        ("topics", ["a"] * 1_000),
        ("group", "a" * 249),
        ("prefix", "a" * 200),
        ("username", "a" * 1_024),
        ("client", {"a" * 100: "x"}),
    ],
)
def test_lengths_are_bounded(tmp_path: Path, key: str, value: str | list[str] | dict[str, str]) -> None:
    """
    The longest passes, one more of anything does not.
    """
    loaded(tmp_path, yaml.dump({"kafka": {key: value}}))
    longer: object
    match value:
        case str():
            longer = value + "a"
        case list():
            longer = ["a" * 1_001] if len(value) == 1 else [*value, "a"]
        case dict():
            longer = {"a" * 101: "x"}
    assert f"prod.yaml: kafka.{key} " in refusal(tmp_path, yaml.dump({"kafka": {key: longer}}))


@pytest.mark.parametrize(
    ("key", "low", "high", "below", "above"),
    [
        ("kafka.discover", "1s", "1h", "999ms", "1h1ms"),
        ("kafka.linger", "0s", "1s", "-1ms", "1s1ms"),
        ("kafka.queue_max", "1000", "10000000", "999", "10000001"),
        ("telemetry.port", "0", "65535", "-1", "65536"),
    ],
)
def test_bounds_are_inclusive(tmp_path: Path, key: str, low: str, high: str, below: str, above: str) -> None:
    """
    Both ends of a range pass, and what lies beyond them does not.
    """
    section, _, last = key.partition(".")
    for value in (low, high):
        loaded(tmp_path, f"{section}: {{{last}: {value}}}")
    for value in (below, above):
        complaint = refusal(tmp_path, f"{section}: {{{last}: {value}}}")
        assert complaint.startswith(f"prod.yaml: {key} is {value} but must be a ")


@pytest.mark.parametrize(
    ("start", "start_at"),
    [
        ("earliest", "earliest"),
        ("latest", "latest"),
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-20T08:00:00Z", 1_795_161_600_000),
        ("2026-11-20T09:00:00.25+01:00", 1_795_161_600_250),
    ],
)
def test_reading_starts_where_it_is_said(start: str, start_at: str | int) -> None:
    """
    An instant is the milliseconds since 1970, whatever its offset.
    """
    assert KafkaSettings(start=start).start_at == start_at


@pytest.mark.parametrize(
    "start",
    [
        "",
        "Earliest",
        "2026-11-20",
        "2026-11-20T08:00:00",  # of which zone?
        "2026-13-20T08:00:00Z",
        "1795161600000",
        "1969-12-31T23:59:59.999Z",  # to Kafka -1 is the end
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_an_instant_that_is_none_is_refused(start: str) -> None:
    """
    No date alone, no time without its offset, nothing before 1970.
    """
    with pytest.raises(ValueError, match=r"^kafka\.start is .* but must be earliest, latest or an instant"):
        KafkaSettings(start=start)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("bootstrap.servers", "use kafka.servers"),
        ("metadata.broker.list", "use kafka.servers"),
        ("group.id", "use kafka.group"),
        ("enable.auto.commit", "exactness depends on it; leave it out"),
        ("auto.commit.enable", "exactness depends on it; leave it out"),
        ("enable.auto.offset.store", "exactness depends on it; leave it out"),
        ("auto.offset.reset", "exactness depends on it; leave it out: kafka.start says where to begin"),
        ("enable.idempotence", "exactness depends on it; leave it out"),
        ("enable.partition.eof", "exactness depends on it; leave it out"),
        ("sasl.username", "use kafka.username"),
        ("sasl.password", "use kafka.password"),
    ],
)
def test_what_is_not_the_clients_to_say_is_refused(tmp_path: Path, key: str, reason: str) -> None:
    """
    The reason is told, and what stands there is not.
    """
    assert refusal(tmp_path, f"kafka: {{client: {{{key}: s3cret}}}}") == f"prod.yaml: kafka.client has {key}: {reason}"
    assert key in REFUSED


def test_librdkafka_is_given_text() -> None:
    """
    Numbers, true and false become what librdkafka reads, and the login is among them; isolation.level passes.
    """
    client: dict[str, str | int | float | bool] = {
        "isolation.level": "read_committed",
        "enable.ssl.certificate.verification": False,
        "socket.keepalive.enable": True,
        "fetch.wait.max.ms": 1,
        "x.ratio": 0.5,
    }
    texts = {
        "isolation.level": "read_committed",
        "enable.ssl.certificate.verification": "false",
        "socket.keepalive.enable": "true",
        "fetch.wait.max.ms": "1",
        "x.ratio": "0.5",
    }
    assert KafkaSettings(client=client).for_librdkafka() == texts
    login = {"sasl.username": "mara", "sasl.password": "s3cret"}
    kafka = KafkaSettings(client=client, username="mara", password="s3cret")  # noqa: S106 - the test's own
    assert kafka.for_librdkafka() == texts | login


# --- the environment --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("web,app", ("web", "app")),
        (" web, app ", ("web", "app")),
        ("^shop-.*", ("^shop-.*",)),
        ("[web, '^a{1,2}$']", ("web", "^a{1,2}$")),
        ("2026", ("2026",)),
    ],
)
def test_topics_in_the_environment(tmp_path: Path, text: str, topics: tuple[str, ...]) -> None:
    """
    With commas between them, or as a YAML list where one has a comma; they replace the file's.
    """
    settings = loaded(tmp_path, "kafka: {topics: [other], group: shop}", NEXTMOVE_KAFKA_TOPICS=text)
    assert (settings.kafka.topics, settings.kafka.group) == (topics, "shop")


def test_client_in_the_environment_replaces_the_files(tmp_path: Path) -> None:
    """
    Of the file's mapping nothing stays; an empty variable empties it.
    """
    content = "kafka: {client: {debug: broker, security.protocol: PLAINTEXT}}"
    settings = loaded(tmp_path, content, NEXTMOVE_KAFKA_CLIENT="{security.protocol: SASL_SSL}")
    assert settings.kafka.client == {"security.protocol": "SASL_SSL"}
    assert loaded(tmp_path, content, NEXTMOVE_KAFKA_CLIENT="").kafka.client == {}


def test_secrets_come_from_the_environment_or_a_mounted_file(tmp_path: Path) -> None:
    """
    A password as it stands, YAML or not; of a file without the newline at its end.
    """
    assert loaded(tmp_path, "", NEXTMOVE_KAFKA_USERNAME="mara", NEXTMOVE_KAFKA_PASSWORD="*[0123").kafka == (  # noqa: S106 - the test's own
        KafkaSettings(username="mara", password="*[0123")  # noqa: S106 - as above
    )
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n", encoding="utf-8")
    content = "kafka: {username: mara}"
    assert loaded(tmp_path, content, NEXTMOVE_KAFKA_PASSWORD_FILE=str(secret)).kafka.password == "s3cret"  # noqa: S105 - as above


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("NEXTMOVE_KAFKA_TOPICS", "web,", f"NEXTMOVE_KAFKA_TOPICS has '' but must be a list of 1 to 1000, {TOPIC}"),
        (
            "NEXTMOVE_KAFKA_TOPICS",
            "[web",
            ("NEXTMOVE_KAFKA_TOPICS in the environment: line 1, column 5: expected ',' or ']', but got '<stream end>'"),
        ),
        ("NEXTMOVE_KAFKA_CLIENT", "a=s3cret", f"NEXTMOVE_KAFKA_CLIENT is text but must be {CLIENT}"),
        (
            "NEXTMOVE_KAFKA_TOPIC",
            "web",
            "NEXTMOVE_KAFKA_TOPIC in the environment: no such setting; did you mean NEXTMOVE_KAFKA_TOPICS?",
        ),
        ("NEXTMOVE_KAFKA_START", "today", f"the environment: kafka.start is today but must be {START}"),
        (
            "NEXTMOVE_KAFKA_PASSWORD",
            "s3cret",
            "the environment: kafka.password is set but kafka.username is not: a login needs both",
        ),
        (
            "NEXTMOVE_TELEMETRY_PORT",
            "0x_",
            (
                "NEXTMOVE_TELEMETRY_PORT in the environment: line 1, column 1:"
                " no value of its kind; quote it if it is text"
            ),
        ),
        ("NEXTMOVE_KAFKA_CLIENT", "[" * 10_000, "NEXTMOVE_KAFKA_CLIENT in the environment: nested too deeply"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(tmp_path: Path, name: str, value: str, complaint: str) -> None:
    """
    One line with the variable, or with the setting where two of them contradict each other.
    """
    assert refusal(tmp_path, "", **{name: value}) == complaint


# --- secrets ----------------------------------------------------------------------------------------------------


SECRETS = """
identity: {redis_url: "redis://mara:s3cret/s3cret@redis.internal/0"}
kafka:
  username: mara
  password: s3cret
  client:
    security.protocol: SASL_SSL
    ssl.key.password: s3cret
    ssl.keystore.password: s3cret
    sasl.oauthbearer.client.secret: s3cret
    sasl.oauthbearer.assertion.private.key.passphrase: s3cret
    sasl.oauthbearer.token.endpoint.url: https://mara:s3cret@login.internal/token
    sasl.jaas.config: s3cret
    ssl.key.pem: s3cret
    ssl.ca.location: /etc/ssl/kafka.pem
"""


def test_no_secret_is_described(tmp_path: Path) -> None:
    """
    Each is a mask of its own; what is none, and that there is none, is shown.
    """
    shown = describe(loaded(tmp_path, SECRETS))
    assert "s3cret" not in shown
    document = yaml.safe_load(shown)
    assert document["identity"]["redis_url"] == "redis://***@redis.internal/0"
    assert (document["kafka"]["username"], document["kafka"]["password"]) == ("mara", "***")
    assert document["kafka"]["client"] == {
        "security.protocol": "SASL_SSL",
        "ssl.key.password": "***",
        "ssl.keystore.password": "***",
        "sasl.oauthbearer.client.secret": "***",
        "sasl.oauthbearer.assertion.private.key.passphrase": "***",
        "sasl.oauthbearer.token.endpoint.url": "https://***@login.internal/token",
        "sasl.jaas.config": "***",
        "ssl.key.pem": "***",
        "ssl.ca.location": "/etc/ssl/kafka.pem",
    }
    assert yaml.safe_load(describe(Settings()))["kafka"]["password"] == ""


def test_an_address_without_a_login_is_shown_whole(tmp_path: Path) -> None:
    """
    An @ in a socket's path is no login.
    """
    shown = describe(loaded(tmp_path, "identity: {redis_url: 'unix:///run/redis@1.sock'}"))
    assert "redis_url: unix:///run/redis@1.sock\n" in shown


def test_settings_without_secrets_are_described_as_a_file(tmp_path: Path) -> None:
    """
    Lists and mappings read back as they were, and so does an instant.
    """
    content = (
        "kafka: {topics: [web, '^a,b$'], start: '2026-11-20T08:00:00Z', client: {debug: all, a: 1, b: yes, c: 0.5}}"
    )
    settings = loaded(tmp_path, content)
    assert loaded(tmp_path, describe(settings)) == settings


@pytest.mark.parametrize(
    ("content", "key", "name"),
    [
        ("kafka: {username: mara, password: '***'}", "kafka.password", "NEXTMOVE_KAFKA_PASSWORD"),
        ("kafka: {client: {ssl.key.pem: '***'}}", "kafka.client", "NEXTMOVE_KAFKA_CLIENT"),
        ("identity: {redis_url: 'redis://***@a'}", "identity.redis_url", "NEXTMOVE_IDENTITY_REDIS_URL"),
    ],
)
def test_a_mask_is_no_secret(tmp_path: Path, content: str, key: str, name: str) -> None:
    """
    What `nextmove check` printed is not taken for a password, unless the environment has the real one.
    """
    cure = f"put the secret there, or into {name}, or into a file that {name}_FILE names"
    complaint = f"{key} holds ***, which stands for a secret where settings are printed; {cure}"
    assert refusal(tmp_path, content) == f"prod.yaml: {complaint}"
    real = {
        "kafka.password": "s3cret",
        "kafka.client": "{ssl.key.pem: 's3cret'}",
        "identity.redis_url": "redis://a:b@c",
    }
    loaded(tmp_path, content, **{name: real[key]})
    masked = real[key].replace("s3cret", "***").replace("a:b@", "***@")
    assert refusal(tmp_path, "kafka: {username: mara}", **{name: masked}) == f"{name} in the environment: {complaint}"


@pytest.mark.parametrize(
    "content",
    [
        "kafka: {password: s3cret}",
        "kafka: {password: [s3cret]}",
        "kafka: {username: mara, password: *s3cret}",
        "kafka: {username: mara, password: !s3cret x}",
        "kafka: {username: mara, password: !!float s3cret}",
        f"kafka: {{username: mara, password: s3cret{'x' * 4_096}}}",
        "kafka: {client: {ssl.key.password: [s3cret]}}",
        "kafka: {client: {ssl.key.password: {s3cret: s3cret}}}",
        "kafka: {client: {sasl.password: s3cret}}",
        "kafka: {client: s3cret}",
        "kafka: {client: [s3cret]}",
        "identity: {redis_url: [s3cret]}",
    ],
)
def test_no_complaint_tells_a_secret(tmp_path: Path, content: str) -> None:
    """
    Whatever is wrong with it, also where YAML takes its first character for an alias or a tag.
    """
    assert "s3cret" not in refusal(tmp_path, content)

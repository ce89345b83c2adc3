"""
`make services` and `make services-stop`: both servers at fixed addresses, for a person to play with.

They outlive this command, and what they hold outlives them, in .services/play; remove that folder to begin anew.

`lend` is for a program: both at free addresses, told in a line each as NAME=VALUE, until its standard input closes.
What they hold goes with them.
"""

import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.services.kafka import KafkaServer, java, kafka_jars
from tests.services.process import HOST, POLL_S, STATE, STOP_S_MAX, Server, UnavailableError
from tests.services.redis import RedisServer, redis_program

# Not 9092 and 6379, where a developer's own may be: Debian starts Redis as soon as it is installed.
KAFKA_PORTS: Final = (19092, 19093)
REDIS_PORT: Final = 16379
PLAY: Final = STATE / "play"
FOLDERS: Final = (PLAY / "kafka", PLAY / "redis")


def start() -> None:
    """Start what is not running yet, and say where it is."""
    java()
    kafka_jars(_say)
    redis_program(_say)
    kafka_folder, redis_folder = FOLDERS
    kafka = KafkaServer(kafka_folder, ports=KAFKA_PORTS, is_kept=True)
    redis = RedisServer(redis_folder, port=REDIS_PORT, is_durable=True, is_kept=True)
    _ensure(kafka, KAFKA_PORTS)
    _ensure(redis, (REDIS_PORT,))
    consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
    _tell(f"Kafka  {kafka.bootstrap_servers}")
    _tell(f"Redis  {redis.url}")
    _tell(f"Logs and data are kept in {os.path.relpath(PLAY)}; to stop both: make services-stop")
    _tell("To see what arrives in a topic:")
    _tell(f"java -cp '.services/kafka/*' {consumer} --bootstrap-server {kafka.bootstrap_servers} --topic ...")


def stop() -> None:
    """Stop what `start` has started and nothing else."""
    for folder in FOLDERS:
        pid = _pid_of(folder)
        if pid is None:
            continue
        os.kill(pid, signal.SIGTERM)
        end_at = time.monotonic() + STOP_S_MAX
        while _pid_of(folder) and time.monotonic() < end_at:
            time.sleep(POLL_S)
        if _pid_of(folder):
            os.kill(pid, signal.SIGKILL)
        _tell(f"Stopped {folder.name}")
    for folder in FOLDERS:
        (folder / "pid").unlink(missing_ok=True)


def lend() -> None:
    """Run both until our standard input closes: whoever holds its other end may die, and they end too."""
    with tempfile.TemporaryDirectory(prefix="services-") as folder:
        servers = KafkaServer(Path(folder) / "kafka"), RedisServer(Path(folder) / "redis")
        try:
            for server in servers:
                server.start()
            _tell(f"KAFKA_BOOTSTRAP_SERVERS={servers[0].bootstrap_servers}")
            _tell(f"REDIS_URL={servers[1].url}")
            _tell(f"KAFKA_DATA={servers[0].folder / 'data'}")
            _tell(f"KAFKA_PID={servers[0].pid}")
            sys.stdout.flush()
            sys.stdin.read()
        finally:
            for server in servers:
                server.kill()


def _ensure(server: Server, ports: tuple[int, ...]) -> None:
    if _pid_of(server.folder) is not None:
        if not server.answers():
            raise RuntimeError(f"{server.name} runs but does not answer; its log: {server.log}")
        return
    taken = [port for port in ports if _is_taken(port)]
    if taken:
        raise UnavailableError(f"port {taken[0]}, {server.name}'s, is taken by another program")
    server.start()
    (server.folder / "pid").write_text(f"{server.pid}\n", encoding="utf-8")


def _pid_of(folder: Path) -> int | None:
    """Return the process that was started for `folder`, while it works there: numbers are given out again."""
    try:
        pid = int((folder / "pid").read_text(encoding="utf-8"))
        return pid if Path(f"/proc/{pid}/cwd").readlink() == folder else None
    except OSError:
        return None


def _is_taken(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just been stopped is not in the way
        try:
            attempt.bind((HOST, port))
        except OSError:
            return True
    return False


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    """Do what the one argument says."""
    commands = {"start": start, "stop": stop, "lend": lend}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        _say("python -m tests.services start|stop|lend")
        return 2
    try:
        commands[sys.argv[1]]()
    except RuntimeError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

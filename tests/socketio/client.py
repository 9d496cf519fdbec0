"""python-socketio against the example: `client.py URL`."""

import sys
import threading

import socketio

url = sys.argv[1]


def talk(transports, namespace):
    client = socketio.Client(reconnection=False)
    done, let_in, got, auth = threading.Event(), threading.Event(), [], []

    def back(*args):
        got.append(args)
        if len(got) == 201:
            done.set()

    client.on("auth", lambda sent: (auth.append(sent), let_in.set()), namespace=namespace)
    client.on("message-back", back, namespace=namespace)
    client.on("emit-with-ack", lambda *args: ("yes", b"\x09"), namespace=namespace)
    client.connect(url, transports=transports, namespaces=[namespace], auth={"token": "t"})
    answer = client.call("message-with-ack", (1, "two", b"\x03"), namespace=namespace, timeout=10)
    assert answer == (1, "two", b"\x03") or answer == [1, "two", b"\x03"], answer
    client.emit("message", ({"a": [b"\x01"]}, "x"), namespace=namespace)
    # More than one answer to a poll may carry.
    for n in range(200):
        client.emit("message", n, namespace=namespace)
    assert done.wait(20), len(got)
    assert let_in.wait(20)
    assert auth == [{"token": "t"}], auth
    assert got[0] == ({"a": [b"\x01"]}, "x"), got[0]
    assert [args[0] for args in got[1:]] == list(range(200))
    client.disconnect()


for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
    for namespace in ("/", "/custom"):
        talk(transports, namespace)

client = socketio.Client(reconnection=False)
try:
    client.connect(url, namespaces=["/unknown"], wait_timeout=5)
    raise SystemExit("let into an unknown namespace")
except socketio.exceptions.ConnectionError:
    pass
print("ok")

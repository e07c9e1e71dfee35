"""A caller without a microphone, over a WebSocket (docs/websocket.md): says what is in a WAV file,
writes what the agent says to another one, and prints what was said.

    pip install websockets
    python examples/socket_client.py ws://127.0.0.1:8080 order.wav answer.wav --agent cafe

The WAV is 16-bit mono at 8, 16, 24 or 48 kHz.
"""

import argparse
import asyncio
import json
import time
import wave

from websockets.asyncio.client import ClientConnection, connect

DOWN_HZ = 24_000
QUIET_S = 1.5
"""The agent is done when it has said nothing for so long."""
ANSWER_S = 20.0
"""And is waited for so long before it has said anything."""


async def speak(socket: ClientConnection, path: str) -> None:
    """Send a WAV file in real time, then nothing: the server hears that as silence."""
    with wave.open(path, "rb") as file:
        due = time.monotonic()
        while pcm := file.readframes(file.getframerate() // 50):
            await socket.send(pcm)
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))


async def converse(args: argparse.Namespace, answer: bytearray) -> None:
    with wave.open(args.said, "rb") as file:
        up_hz = file.getframerate()
    address = f"{args.server}/api/voice/socket?up_rate={up_hz}&down_rate={DOWN_HZ}"
    if args.agent:
        address += f"&agent={args.agent}"
    agent, speaking, answered, began = "speaking", None, False, time.monotonic()
    async with connect(address) as socket:
        quiet_since = began
        while True:
            try:
                message = await asyncio.wait_for(socket.recv(), 0.2)
            except TimeoutError:
                message = ""
            now = time.monotonic()
            if isinstance(message, bytes):
                # A real client has a buffer here; a file is as well served with the time.
                late = int((now - began) * DOWN_HZ) * 2 - len(answer)
                answer.extend(bytes(max(0, late)) + message)
            elif message:
                event = json.loads(message)
                if event["type"] == "antiphon.playout.clear":
                    # The agent was interrupted: what would be heard from now on is dropped.
                    del answer[int((now - began) * DOWN_HZ) * 2 :]
                elif event["type"] == "antiphon.state":
                    agent = event["agent"]
                elif event["type"] == "conversation.item.input_audio_transcription.completed":
                    print("caller:", event["transcript"])
                elif event["type"] == "response.output_audio_transcript.done":
                    print("agent: ", event["transcript"])
                elif event["type"] in ("error", "antiphon.session.ended"):
                    print(message)
                    return
            said = speaking is not None and speaking.done()
            answered = answered or (said and agent != "listening")
            if agent != "listening" or (speaking is not None and not said):
                quiet_since = now
            quiet_s = now - quiet_since
            if speaking is None and quiet_s > QUIET_S:
                speaking = asyncio.create_task(speak(socket, args.said))
            elif quiet_s > (QUIET_S if answered else ANSWER_S):
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("server", "said", "answer"):
        parser.add_argument(name)
    parser.add_argument("--agent", default="")
    heard = bytearray()
    args = parser.parse_args()
    asyncio.run(converse(args, heard))
    with wave.open(args.answer, "wb") as file:
        file.setparams((1, 2, DOWN_HZ, 0, "NONE", ""))
        file.writeframes(heard)

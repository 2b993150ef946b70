"""Our client against a chat server that somebody else made: does every row get the answer to its own question, with 64 in flight?

The server is `transformers serve` (pip: transformers[serving]): of the servers on PyPI one that takes images, runs on two cores without a GPU
and needs no compiler. vLLM and SGLang are made for GPUs, llama-cpp-python is on PyPI as source alone, proxies have no model.
The model is made here (tiny_chat_model.py): nothing is downloaded.

Greedy answers of a server that runs one question after the other do not depend on what else is in flight. So the same questions are asked
again by urllib, one at a time, and every caption must be equal, letter for letter; most of the sample's answers differ from each other, so
a neighbour's would be seen. Calls are counted in the server's own access log.

    python parity/real_server.py --binary target/release/cribble

Exit code 0 passed, 1 a mismatch or a server that does not start, 77 a package cannot be loaded.
"""

import argparse
import base64
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

try:
    import pyarrow as pa
    import tiny_chat_model
    import transformers
    import uvicorn
    from pyarrow import parquet
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(77)

IN_FLIGHT = 64
MAX_TOKENS = 32
SHARDS = 3
SYSTEM, SAY = "You rewrite captions.", "Say it in other words ({}): "
LOOK = "What is in this image?"
ANSWERED = re.compile(r'"POST /v1/chat/completions HTTP/1\.1" 200')
CONNECTION = re.compile(r'127\.0\.0\.1:(\d+) - "POST /v1/chat/completions')
ASKED = re.compile(r'"POST \S+ HTTP/1\.1" \d+')


def need(holds, what):
    """A check that ends the script."""
    if not holds:
        print(f"MISMATCH, this does not hold: {what}")
        sys.exit(1)
    print(f"  ok: {what}")


class Server:
    """`transformers serve` on a free port, which it keeps when it is started again."""

    def __init__(self, folder):
        self.model, self.log, self.process = str(folder / "model"), folder / "server.log", None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        command = [Path(sys.executable).with_name("transformers"), "serve", self.model]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu"]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                if urllib.request.urlopen(f"{self.url}/health", timeout=5).status == 200:
                    return
            except OSError:
                time.sleep(0.2)
        print(f"the server does not start:\n{self.log.read_text()[-3000:]}")
        self.kill()
        sys.exit(1)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def answered(self, pattern=ANSWERED):
        return len(pattern.findall(self.log.read_text(errors="replace")))

    def ask(self, content, system=None):
        """One question by urllib: the answer's text and the tokens of the question."""
        messages = ([{"role": "system", "content": system}] if system else []) + [{"role": "user", "content": content}]
        body = {"model": self.model, "messages": messages, "temperature": 0.0, "max_tokens": MAX_TOKENS, "seed": 0}
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        answer = json.load(urllib.request.urlopen(request, timeout=120))
        return " ".join(answer["choices"][0]["message"]["content"].split()), answer["usage"]["prompt_tokens"]


class Check:
    def __init__(self, binary, folder, server):
        self.binary, self.folder, self.server = Path(binary).resolve(), folder, server
        self.calls = self.seconds = 0

    def command(self, verb, source, prompt, out, cache="none", model=None, path="/v1", more=()):
        words = [self.binary, verb, source, "--prompt", prompt, "--out", self.folder / out, "--cache", cache]
        words += ["--endpoint", self.server.url + path, "--model", model or self.server.model, "--column", "caption_new"]
        words += ["--in-flight", str(IN_FLIGHT), "--max-tokens", str(MAX_TOKENS), "--temperature", "0"]
        words += ["--strip-lead-in", "false", "--min-chars", "1", *more]
        return [str(word) for word in words]

    def run(self, *arguments, code=0, **options):
        """Runs to the end; what it says on stderr."""
        before, start = self.server.answered(), time.time()
        done = subprocess.run(self.command(*arguments, **options), check=False, capture_output=True, text=True)
        if done.returncode != code:
            print(f"exit code {done.returncode}, not {code}:\n{done.stdout}{done.stderr}")
            sys.exit(1)
        calls = self.server.answered() - before
        if calls > 50 and code == 0:
            self.calls, self.seconds = self.calls + calls, self.seconds + time.time() - start
            print(f"  {calls} calls in {time.time() - start:.1f} s: {calls / (time.time() - start):.1f} a second")
        return done.stderr

    def until(self, answers, *arguments, **options):
        """Starts a run and leaves it when the server has given so many more answers."""
        before = self.server.answered()
        running = subprocess.Popen(self.command(*arguments, **options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while self.server.answered() - before < answers:
            if running.poll() is not None:
                print(f"the run ended before {answers} answers:\n{running.stdout.read()}")
                sys.exit(1)
            time.sleep(0.02)
        return running, before

    def usage(self, out):
        report = json.loads((self.folder / out / "report.json").read_text())
        return report["steps"][0]["details"]["usage"], report["steps"][0]["details"]["states"]

    def table(self, out):
        """uid → caption and state."""
        rows = {}
        for file in sorted((self.folder / out / "steps").glob("01-*/*.parquet")):
            table = parquet.read_table(file).to_pydict()
            rows |= dict(zip((uid.hex() for uid in table["uid"]), zip(table["caption_new"], table["state_new"])))
        return rows

    def compare(self, rows, references, what):
        """Every caption that came through the rules for captions is the reference's answer to the row's own question."""
        kept = {uid: text for uid, (text, state) in rows.items() if state == "ok" and uid in references}
        need(len(kept) >= 0.9 * len(references), f"{what}: {len(kept)} of {len(references)} asked again have a caption")
        wrong = [uid for uid, text in kept.items() if text != references[uid]]
        distinct = len(set(kept.values()))
        need(distinct >= 0.7 * len(kept), f"{what}: {distinct} different captions among them, so another row's would be seen")
        first = f"; {wrong[0]}: {kept[wrong[0]]!r}, alone {references[wrong[0]]!r}" if wrong else ""
        need(not wrong, f"{what}: {len(kept) - len(wrong)} of them are what the server answers alone{first}")

    # The checks, in their order.

    def images(self, shards):
        shown = dict(pictures(shards))
        count = len(shown)
        print(f"captions of {count} images")
        prompt = self.prompt("look.txt", LOOK)
        arguments = ("caption", shards, prompt)
        before = self.server.answered()
        self.run(*arguments, "images", cache=self.folder / "shared", more=["--image-size", "0"])
        calls = self.server.answered() - before
        usage, states = self.usage("images")
        rows = self.table("images")
        need(len(rows) == count == sum(states.values()), f"{count} rows have a state: {states}")
        need(usage["answered"] == calls and usage["failed"] == 0, f"{calls} answers by the server's log and by the report, none failed")
        need(usage["answered"] + usage["cached"] == count, f"{usage['cached']} equal images were not asked twice")
        references, tokens = {}, {}
        for uid, picture in shown.items():
            url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
            content = [{"type": "text", "text": LOOK}, {"type": "image_url", "image_url": {"url": url}}]
            references[uid], tokens[picture] = self.server.ask(content)
        self.compare(rows, references, "images")
        asked = sum(tokens.values())
        need(usage["input_tokens"] == asked, f"{asked} tokens asked, by the report and by the server's counts alone")
        self.again(arguments, "images", ["--image-size", "0"])

    def texts(self, pool, captions, sample):
        print(f"{len(captions)} texts, rewritten")
        prompt = self.prompt("say.txt", f"{SYSTEM}\n---\n{SAY.format('texts')}{{caption}}")
        arguments = ("rewrite", pool, prompt)
        before, length = self.server.answered(), self.server.log.stat().st_size
        self.run(*arguments, "texts", cache=self.folder / "shared")
        calls = self.server.answered() - before
        # A connection is opened where no other is free, so their number says how many calls went on at once; each shard opens its own.
        ports = set(CONNECTION.findall(self.server.log.read_text(errors="replace")[length:]))
        most = SHARDS * IN_FLIGHT
        need(0.9 * most <= len(ports) <= most, f"{calls} calls over {len(ports)} connections: {IN_FLIGHT} in flight in each of {SHARDS} shards")
        usage, states = self.usage("texts")
        rows = self.table("texts")
        need(len(rows) == len(captions) == sum(states.values()), f"{len(captions)} rows have a state: {states}")
        need(calls == usage["answered"] == len(captions), f"{calls} answers by the server's log and by the report: one a row")
        chosen = list(captions)[:: max(1, len(captions) // sample)]
        references = {uid: self.server.ask(SAY.format("texts") + captions[uid], SYSTEM)[0] for uid in chosen}
        self.compare(rows, references, "texts")
        self.again(arguments, "texts", [])

    def again(self, arguments, out, more):
        """The same questions again: into the same folder, and into another that shares the answers."""
        before = self.server.answered(ASKED)
        self.run(*arguments, out, cache=self.folder / "shared", more=more)
        self.run(*arguments, f"{out}-again", cache=self.folder / "shared", more=more)
        usage, _ = self.usage(f"{out}-again")
        need(self.server.answered(ASKED) == before and usage["calls"] == 0, f"{out} again: no call, by the server's log and by the report")
        need(self.table(out) == self.table(f"{out}-again"), f"{out} again: the same table from {usage['cached']} known answers")

    def wrong(self, pool, captions):
        print("a wrong model, a wrong path, an unknown field")
        before = self.server.answered(ASKED)
        prompt = self.prompt("wrong.txt", "{caption}")
        said = self.run("rewrite", pool, prompt, "wrong-model", model="no-such-model", code=3)
        need("no-such-model" in said and "400" in said, f"wrong model: {complaint(said)}")
        said = self.run("rewrite", pool, prompt, "wrong-path", path="/v2", code=3)
        need("404" in said and "/v2" in said and "/v1" in said, f"wrong path: {complaint(said)}")
        said = self.run("rewrite", pool, prompt, "wrong-field", more=["--extra", "no_such_field=1"], code=3)
        need("422" in said and "no_such_field" in said, f"a field that the server does not know: {complaint(said)}")
        refused = self.server.answered(ASKED) - before
        need(0 < refused <= 4 * IN_FLIGHT, f"{refused} calls made before it stopped, for 3 x {len(captions)} rows")

    def killed(self, pool, captions):
        """`kill -9` of our program: what it had heard is on disk. An answer that was on its way at that moment may be asked for again."""
        print("our program is killed in the middle")
        arguments = ("rewrite", pool, self.prompt("killed.txt", f"{SYSTEM}\n---\n{SAY.format('killed')}{{caption}}"), "killed")
        running, before = self.until(len(captions) * 2 // 3, *arguments)
        running.send_signal(signal.SIGKILL)
        running.wait()
        while True:
            first = self.server.answered()
            time.sleep(3)
            if self.server.answered() == first:
                break
        heard = first - before
        self.run(*arguments)
        twice = self.server.answered() - before - len(captions)
        usage, _ = self.usage("killed")
        need(usage["failed"] == 0 and len(self.table("killed")) == len(captions), "the run is complete")
        need(0 <= twice <= IN_FLIGHT, f"{heard} answers given before, {twice} of them asked for twice (at most the {IN_FLIGHT} in flight)")
        chosen = list(captions)[::10]
        references = {uid: self.server.ask(SAY.format("killed") + captions[uid], SYSTEM)[0] for uid in chosen}
        self.compare(self.table("killed"), references, "killed")

    def lost(self, pool, captions):
        """The server dies and comes back."""
        print("the server is killed in the middle")
        arguments = ("rewrite", pool, self.prompt("lost.txt", f"{SYSTEM}\n---\n{SAY.format('lost')}{{caption}}"), "lost")
        running, before = self.until(len(captions) // 3, *arguments, more=["--retries", "1"])
        self.server.kill()
        said, _ = running.communicate(timeout=120)
        need(running.returncode == 3, f"exit code 3: {complaint(said)}")
        lists = sorted((self.folder / "lost/steps").glob("01-*/missing*.csv"))
        need(len(lists) == 1 and lists[0].name in said, f"the list of what is missing is named: {[path.name for path in lists]}")
        with open(lists[0]) as file:
            missing = [row["uid"] for row in csv.DictReader(file)]
        need(missing and set(missing) <= set(captions), f"{len(missing)} samples are on it")
        self.server.start()
        heard = self.server.answered() - before
        self.run(*arguments, more=["--retries", "1"])
        calls = self.server.answered() - before - heard
        need(0 <= heard + calls - len(captions) <= IN_FLIGHT, f"{heard} answers before, {calls} after, for {len(captions)} rows")
        need(not lists[0].exists(), "the list is gone")
        rows = self.table("lost")
        need(len(rows) == len(captions), "the run is complete")
        chosen = [*missing[::10], *list(captions)[::20]]
        references = {uid: self.server.ask(SAY.format("lost") + captions[uid], SYSTEM)[0] for uid in chosen}
        self.compare(rows, references, "lost")

    def prompt(self, name, text):
        (self.folder / name).write_text(text + "\n")
        return self.folder / name


def complaint(said):
    """The error and its hint in what our program says."""
    at = said.find("error:")
    return " ".join(said[max(at, 0) :].split())


def pictures(shards):
    """uid and image of each sample of tars."""
    for path in sorted(Path(shards).glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        for name, data in members.items():
            if name.endswith(".json"):
                yield json.loads(data)["uid"], members[name.removesuffix("json") + "jpg"]


def texts(folder, count, shards):
    """A metadata pool whose captions all differ."""
    folder.mkdir()
    colours, things = ["red", "green", "blue", "yellow", "black"], ["cat", "dog", "house", "boat", "tree", "bottle", "umbrella"]
    captions = {f"{row:032x}": f"a {colours[row % 5]} {things[row % 7]} beside {row * 7919 % 10007} others" for row in range(count)}
    uids = list(captions)
    for shard in range(shards):
        part = uids[shard * count // shards : (shard + 1) * count // shards]
        parquet.write_table(pa.table({"uid": part, "text": [captions[uid] for uid in part]}), folder / f"{shard:08}.parquet")
    return captions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/cribble")
    parser.add_argument("--images", type=int, default=300, help="rows of the demo's pool; a few have no image")
    parser.add_argument("--texts", type=int, default=2400)
    parser.add_argument("--sample", type=int, default=200, help="texts that are asked again, alone")
    arguments = parser.parse_args()
    print(f"transformers {transformers.__version__}, uvicorn {uvicorn.__version__}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tiny_chat_model.make(folder / "model")
        demo = [arguments.binary, "demo", folder / "demo", "--rows", str(arguments.images)]
        subprocess.run(demo, check=True, capture_output=True)
        captions = texts(folder / "pool", arguments.texts, SHARDS)
        few = texts(folder / "few", max(IN_FLIGHT * 4, arguments.texts // 4), 2)
        server = Server(folder)
        start = time.time()
        try:
            check = Check(arguments.binary, folder, server)
            check.images(folder / "demo/pool/shards")
            check.texts(folder / "pool", captions, arguments.sample)
            check.wrong(folder / "pool", captions)
            check.killed(folder / "few", few)
            check.lost(folder / "few", few)
            answers = server.answered()
            rate = check.calls / check.seconds
            print(f"{answers} answers of the server, {rate:.1f} a second with {IN_FLIGHT} in flight, {time.time() - start:.0f} s in all, no failure")
        finally:
            server.kill()


if __name__ == "__main__":
    main()

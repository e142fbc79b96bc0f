"""What an outbox calls delivered is at the remote: to be looked at after every kill, before the next try mends what was not."""

import contextlib
import hashlib
import json
import random
import subprocess

from harness import json_lines


def notes_of(run, callback):
    for file in sorted((run / "outbox").glob(f"{callback}.*.jsonl")):
        yield from json_lines(file)


def copies_noted(run, callback):
    """The newest note of each file: path to SHA-256."""
    return {note["path"]: note["sha256"] for note in notes_of(run, callback) if "path" in note}


def messages_noted(run, callback):
    """The entries that have arrived, as they were queued."""
    keys = {note["key"] for note in notes_of(run, callback) if note.get("state") == "delivered" and "key" in note}
    queued = [line for file in sorted((run / "outbox").glob("queue.*.jsonl")) for line in json_lines(file)]
    return [entry for entry in queued if entry["callback"] == callback and entry["key"] in keys]


def assert_copies_are_there(test, run, callback, content_of):
    """`content_of` gives the bytes that are at the remote for a path below the run. Gives how many are noted."""
    noted = copies_noted(run, callback)
    for path, sha256 in noted.items():
        test.assertEqual(hashlib.sha256(content_of(path)).hexdigest(), sha256, path)
    return len(noted)


def assert_messages_are_there(test, runs, callback, arrived, word_of):
    """`arrived` gives what the remote has, as text; `word_of` an entry: what is in its text alone. Gives how many are noted."""
    noted = [word_of(entry) for run in runs for entry in messages_noted(run, callback)]
    everything = "\n".join(arrived())  # after the notes: a courier goes on for a moment
    test.assertEqual([word for word in noted if word not in everything], [])
    return len(noted)


def payload_of(entry):
    return entry["payload"] if isinstance(entry["payload"], str) else json.dumps(entry["payload"])


def kill_at_random_moments(start, check, times, longest, before=lambda number: None):
    """SIGKILL of what `start` starts, so many times, each followed by the check."""
    for number in range(times):
        before(number)
        process = start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0, longest))
        process.kill()
        process.wait()
        check()

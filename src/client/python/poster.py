# The Python client of poster. `poster client --write DIR` replaces a file that begins with this line.
"""Log from a program that runs under `poster run`; do nothing where it does not.

    import poster

    poster.log_metric("loss", 0.3, step=10)
    poster.log_metrics({"loss": 0.3, "acc": 0.9}, step=10, epoch=1)
    poster.log_message("learning rate halved", level="warning")
    poster.log_image("samples", image, step=10, caption="after ten steps")
    poster.save_file("model.pt")
    poster.log_config({"lr": 0.1})
    poster.set_summary({"best_acc": 0.91})
    poster.notify("converged")
    logging.getLogger().addHandler(poster.LogHandler())

    poster.active, poster.run_id, poster.run_dir, poster.files_dir, poster.checkpoint_dir,
    poster.attempt, poster.resumed, poster.rank

Needs nothing but Python 3.7. No call raises because of what it was given or because a disk is full: it says so once, on
stderr. With POSTER_STRICT=1 it raises.
"""

# Each line goes to the kernel in one write to a file that is opened for appending: the kernel keeps the lines of threads
# apart, and a line that was logged survives SIGKILL. No buffer, so no thread, lock or exit handler is needed; such a write
# costs less than handing the line to another thread would.
#
# Imported by every program that might be run under poster, so nothing is imported here that Python has not loaded anyway.

import os
import sys
from _collections_abc import Sequence as _Sequence
from time import sleep as _sleep, time as _time

__all__ = [
    "log_metric",
    "log_metrics",
    "log_message",
    "log_image",
    "log_images",
    "save_file",
    "log_config",
    "set_summary",
    "notify",
    "active",
    "run_id",
    "run_dir",
    "files_dir",
    "attempt",
    "resumed",
]  # and, when they are asked for: LogHandler, checkpoint_dir, rank

_events_dir = os.environ.get("POSTER_EVENTS_DIR")

active = bool(_events_dir)
run_id = (os.environ.get("POSTER_RUN_ID") or None) if active else None
run_dir = (os.environ.get("POSTER_RUN_DIR") or None) if active else None
files_dir = (os.environ.get("POSTER_FILES_DIR") or os.curdir) if active else os.curdir
_attempt = os.environ.get("POSTER_ATTEMPT", "")
attempt = int(_attempt) if active and _attempt.isdigit() else 0  # from 1; 0: outside a run
resumed = active and os.environ.get("POSTER_RESUMED") == "1"


# ---- metrics


def log_metric(name, value, step=None, epoch=None):
    """Logs one number: Python's, or one of numpy, torch, jax, decimal …; NaN and infinities too."""
    fd = _fd
    if fd < 0:
        fd = _open()
        if fd < 0:
            return
    try:
        key = _keys[name]
    except (KeyError, TypeError):
        key = _new_key(name)
    if type(value) is float and value - value == 0.0:  # neither NaN nor infinite
        number = repr(value)
    else:
        number = _number(value)
        if number is None:
            _complain("log_metric", type(value), "%s is %s, not a number" % (_shown(name), _described(value)))
            return
    if epoch is None and type(step) is int:
        line = _metric_of_step % (_time(), step, key, number)
    elif epoch is None and step is None:
        line = _metric % (_time(), key, number)
    else:
        line = _metric_line(key + number, step, epoch)
    data = line.encode()
    try:
        if _write(fd, data) == len(data):
            return
    except OSError:
        pass
    _append_again(line)


def log_metrics(values, step=None, epoch=None):
    """Logs several numbers of one step, as a dict from name to number."""
    try:
        pairs = [(name, value, _number(value)) for name, value in _items(values)]
    except Exception as error:
        _complain("log_metrics", type(error), "a dict of numbers is wanted, not %s" % _described(values))
        return
    for name, value, number in pairs:
        if number is None:
            _complain("log_metrics", type(value), "%s is %s, not a number" % (_shown(name), _described(value)))
    fields = [(_keys.get(name) or _new_key(name)) + number for name, _, number in pairs if number is not None]
    if fields and (_fd >= 0 or _open() >= 0):
        _append(_metric_line(",".join(fields), step, epoch))


_write = os.write
_fd = -1  # of this process's file of events; -1: to be opened
_keys = {}  # name → '"name":'
_MOST_KEYS = 10000  # a program that makes up names for ever must not fill the memory
_metric = _metric_of_step = ""  # templates of a line; made by _open, because they hold the rank


def _metric_line(fields, step, epoch):
    whole = _whole(step)
    where = "" if whole is None else ',"step":' + whole
    if epoch is not None:
        number = _number(epoch)
        if number is None or number[0] == '"':
            _complain("epoch", type(epoch), "an epoch is a number, not %s" % _described(epoch))
        else:
            where += ',"epoch":' + number
    return '{"kind":"metric","time":%.6f%s%s,"values":{%s}}\n' % (_time(), where, _rank_field, fields)


def _whole(step):
    """The JSON text of a step; None where there is none, or what is given is none."""
    if step is None:
        return None
    number = _number(step) or ""
    if number.endswith(".0"):
        number = number[:-2]
    if number.lstrip("-").isdigit():
        return number
    _complain("step", type(step), "a step is a whole number, not %s" % _described(step))
    return None


def _new_key(name):
    if not issubclass(type(name), str):
        return _quote(_text_of(name)) + ":"
    if len(_keys) >= _MOST_KEYS:
        _keys.clear()
    key = _keys[name] = _quote(name) + ":"
    return key


def _number(value):
    """The JSON text of a number of whatever library; None where it is none, or several."""
    try:
        if not isinstance(value, (int, float)):
            if not hasattr(value, "item") and hasattr(value, "numpy"):  # of TensorFlow
                value = value.numpy()
            item = getattr(value, "item", None)
            if callable(item):  # a scalar or an array of one element; of more it raises
                value = item()
            if not isinstance(value, (int, float)):
                if not hasattr(type(value), "__float__"):  # float("0.3") would pass for a number
                    return None
                value = float(value)
        if isinstance(value, int):
            value = int(value)  # bool is one, too
            if -(2**63) <= value < 2**64:
                return str(value)
            value = float(value)
        value = float(value)
    except OverflowError:
        return '"Infinity"' if value > 0 else '"-Infinity"'
    except Exception:
        return None
    if value - value == 0.0:
        return repr(value)
    return '"NaN"' if value != value else '"Infinity"' if value > 0 else '"-Infinity"'


# ---- messages, parameters, results


def log_message(text, level="info"):
    """Logs a line of text; `level` is debug, info, warning or error."""
    _append_event("message", ',"level":%s,"text":%s' % (_quote(_level_of(level)), _quote(_text_of(text))))


def notify(text):
    """Sends a message to the people of the run, by the ways that poster is set up for."""
    _append_event("notify", ',"text":' + _quote(_text_of(text)))


def log_config(values=None, **named):
    """Records parameters: a dict, argparse.Namespace, dataclass, OmegaConf … and what is named."""
    _append_values("config", "log_config", values, named)


def set_summary(values=None, **named):
    """Records results of the run as a whole, such as the best accuracy; a later value replaces an earlier one."""
    _append_values("summary", "set_summary", values, named)


def _append_values(kind, caller, values, named):
    try:
        merged = {} if values is None else dict(_items(values))
        merged.update(named)
        text = _json(merged)
    except Exception as error:
        _complain(caller, type(error), "a dict is wanted, not %s" % _described(values))
        return
    _append_event(kind, ',"values":' + text)


_LEVELS = {"warn": "warning", "critical": "error", "fatal": "error", "exception": "error", "notset": "debug"}


def _level_of(level):
    if type(level) is int:  # of logging
        return "error" if level >= 40 else "warning" if level >= 30 else "info" if level >= 20 else "debug"
    name = _text_of(level).lower()
    name = _LEVELS.get(name, name)
    if name in ("debug", "info", "warning", "error"):
        return name
    _complain("level", "level", "%s is no level: debug, info, warning or error" % _shown(level), ValueError)
    return "info"


def _make_log_handler():
    import logging

    class LogHandler(logging.Handler):
        """Logs the records of `logging` as messages of the run; does nothing outside one."""

        def emit(self, record):
            if not active:
                return
            try:
                fields = ',"level":%s,"logger":%s,"text":%s' % (
                    _quote(_level_of(record.levelno)),
                    _quote(record.name),
                    _quote(self.format(record)),
                )
            except Exception as error:
                _complain("LogHandler", type(error), "a record cannot be formatted: %s" % error, ValueError)
                return
            _append_event("message", fields, record.created)

    LogHandler.__module__ = __name__
    LogHandler.__qualname__ = "LogHandler"
    return LogHandler


# ---- images


def log_image(name, image, step=None, caption=None, notify=False):
    """Stores an image: a path, PIL image, array (HxW, HxWx1, x3, x4; uint8, bool, or float from 0 to 1), torch tensor
    (CxHxW), matplotlib figure, or the bytes of an image file. `notify` sends it along with notifications.
    Gives the path where it is, or None.
    """
    name = _text_of(name)
    try:
        data, kind, size = _encoded(image)
    except Exception as error:
        what = str(error) if isinstance(error, _Unfit) else "%s: %s" % (type(error).__name__, error)
        _complain("log_image", (type(image), type(error)), "%r cannot be stored: %s" % (name, what), ValueError)
        return None
    whole = _whole(step)
    try:
        path = _store_image(name, whole or "image", kind, data)
    except (OSError, ValueError) as error:
        _complain(
            "log_image", ("store", getattr(error, "errno", 0)), "%r cannot be stored: %s" % (name, error), OSError
        )
        return None
    fields = ',"name":%s,"path":%s' % (_quote(name), _quote(_below_run(path)))
    if whole:
        fields += ',"step":' + whole
    if caption is not None:
        fields += ',"caption":' + _quote(_text_of(caption))
    if size:
        fields += ',"width":%d,"height":%d' % size
    _append_event("image", fields + ',"format":%s' % _quote(kind) + (',"notify":true' if notify else ""))
    return path


def log_images(name, images, step=None, captions=None, notify=False):
    """Stores several images under one name; `captions` is a text for all or a list. Gives their paths."""
    try:
        images = list(images)
        captions = [captions] * len(images) if captions is None or isinstance(captions, str) else list(captions)
        captions += [None] * (len(images) - len(captions))
    except Exception as error:
        _complain("log_images", type(error), "a list of images is wanted, not %s" % _described(images))
        return []
    return [log_image(name, image, step, caption, notify) for image, caption in zip(images, captions)]


class _Unfit(ValueError):
    """This cannot be stored as an image; the text says why."""


def _encoded(image):
    """(bytes, format, (width, height) or None) of an image."""
    if isinstance(image, (str, os.PathLike)):
        with open(image, "rb") as file:
            image = file.read()
    if isinstance(image, (bytes, bytearray)):
        return _recognized(bytes(image))
    if hasattr(image, "savefig"):  # a matplotlib figure
        return _recognized(_saved(image.savefig, "png"))
    if hasattr(image, "save") and hasattr(image, "mode") and hasattr(image, "size"):  # of PIL
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"):
            image = image.convert("RGB")
        return _recognized(_saved(image.save, "PNG"))
    if hasattr(image, "get_figure") and image.get_figure() is not None:  # axes
        return _encoded(image.get_figure())
    width, height, channels, depth, rows = _pixels(image)
    return _png(width, height, channels, depth, rows), "png", (width, height)


def _saved(save, kind):
    from io import BytesIO

    file = BytesIO()
    save(file, format=kind)
    return file.getvalue()


def _recognized(data):
    """An encoded image by its content."""
    from struct import unpack

    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data, "png", unpack(">II", data[16:24]) if len(data) >= 24 else None
    if data.startswith((b"GIF87a", b"GIF89a")):
        return data, "gif", unpack("<HH", data[6:10]) if len(data) >= 10 else None
    if data.startswith(b"\xff\xd8\xff"):
        return data, "jpg", _jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return data, "webp", None
    if data.startswith(b"BM"):
        return data, "bmp", None
    if data.startswith((b"II*\0", b"MM\0*")):
        return data, "tiff", None
    if b"<svg" in data[:1000]:
        return data, "svg", None
    raise _Unfit("its content is no PNG, JPEG, GIF, WebP, BMP, TIFF or SVG")


def _jpeg_size(data):
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _pixels(image):
    """(width, height, channels, bits a sample, rows as bytes) of an array of whatever library."""
    channels_first = False
    if hasattr(image, "detach"):  # of torch: may be on a GPU, part of a graph, of a type that numpy lacks
        image = image.detach().cpu()
        if "bfloat16" in str(image.dtype) or "float8" in str(image.dtype):
            image = image.float()
        channels_first = True
    numpy = sys.modules.get("numpy")
    if numpy and (hasattr(image, "__array__") or hasattr(image, "numpy")):
        array = numpy.asarray(image.numpy() if hasattr(image, "numpy") else image)
        return _pixels_of_array(numpy, array, channels_first)
    if hasattr(image, "tolist"):
        image = image.tolist()
    if not isinstance(image, (list, tuple)):
        raise _Unfit("%s is no image" % _described(image))
    return _pixels_of_lists(image, channels_first)


def _layout(shape, channels_first):
    """(height, width, channels, whether the channels come first) of an array's shape."""
    if len(shape) == 2:
        layout = (shape[0], shape[1], 1, False)
    elif len(shape) == 3 and shape[0] in (1, 3, 4) and (channels_first or shape[2] not in (1, 3, 4)):
        layout = (shape[1], shape[2], shape[0], True)
    elif len(shape) == 3 and shape[2] in (1, 3, 4):
        layout = (shape[0], shape[1], shape[2], False)
    else:
        raise _Unfit("an array of shape %s is no image: HxW, HxWxC or CxHxW with 1, 3 or 4 channels" % (tuple(shape),))
    if not layout[0] or not layout[1]:
        raise _Unfit("an array of shape %s holds no pixel" % (tuple(shape),))
    return layout


def _pixels_of_array(numpy, array, channels_first):
    while array.ndim > 3 and array.shape[0] == 1:  # a batch of one
        array = array[0]
    height, width, channels, first = _layout(array.shape, channels_first)
    if first:
        array = array.transpose(1, 2, 0)
    kind, depth = array.dtype.kind, 8
    if kind == "f" or "float" in str(array.dtype):  # jax's bfloat16 is none of numpy's own
        array = numpy.nan_to_num(array.astype("float64"))
        _check_range(array.min(), array.max(), 1)
        array = numpy.rint(array.clip(0, 1) * 255)
    elif kind == "b":
        array = array * 255
    elif kind == "u" and array.dtype.itemsize == 2:
        depth = 16
    elif kind in "iu":
        _check_range(array.min(), array.max(), 255)
        array = array.clip(0, 255)
    else:
        raise _Unfit("an array of %s is no image" % array.dtype)
    rows = array.reshape(height, -1).astype(">u2" if depth == 16 else "u1")
    return width, height, channels, depth, [row.tobytes() for row in rows]


def _pixels_of_lists(image, channels_first):
    """Without numpy: nested lists of numbers."""
    shape, inner = [], image
    while isinstance(inner, (list, tuple)):
        shape.append(len(inner))
        inner = inner[0] if inner else 0
    height, width, channels, first = _layout(shape, channels_first)
    if first:
        image = [[[image[c][y][x] for c in range(channels)] for x in range(width)] for y in range(height)]
    elif len(shape) == 2:
        image = [[[sample] for sample in row] for row in image]
    rows = [[sample for pixel in row for sample in pixel] for row in image]
    if any(len(row) != width * channels for row in rows):
        raise _Unfit("its rows differ in length")
    samples = [sample for row in rows for sample in row]
    top = 1 if any(isinstance(sample, (float, bool)) for sample in samples) else 255
    _check_range(min(samples), max(samples), top)
    scale = 255 // top
    to_byte = lambda sample: int(round(min(max(sample, 0), top) * scale)) if sample == sample else 0
    return width, height, channels, 8, [bytes(map(to_byte, row)) for row in rows]


def _check_range(least, most, top):
    if least < -0.5 * top or most > 1.5 * top:
        words = "floats from 0 to 1" if top == 1 else "whole numbers from 0 to 255"
        text = "an image of %s is wanted; from %s to %s it is cut off" % (words, least, most)
        _complain("log_image", ("range", top), text, ValueError)


def _png(width, height, channels, depth, rows):
    from struct import pack
    from zlib import compress, crc32

    def chunk(kind, data):
        return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))

    color = {1: 0, 3: 2, 4: 6}[channels]
    lines = b"".join(b"\0" + row for row in rows)  # each with its filter: none
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)),
            chunk(b"IDAT", compress(lines, 3)),  # a training waits for it: fast rather than smallest
            chunk(b"IEND", b""),
        )
    )


def _store_image(name, base, kind, data):
    """Below images/, under a name of its own; gives the path."""
    if not run_dir:
        raise OSError("POSTER_RUN_DIR is not set")
    parts = [_file_name(part) for part in name.split("/")]
    folder = os.path.join(run_dir, "images", *([part for part in parts if part] or ["image"]))
    _check_inside(os.path.join(run_dir, "images"), folder, name)
    _make_folders(folder)
    draft = _draft_of(os.path.join(folder, base))
    try:
        with open(draft, "xb", opener=_private) as file:
            file.write(data)
        return _publish(draft, os.path.join(folder, base), "." + kind)
    except BaseException:
        _remove(draft)
        raise


_next_number = {}  # path without number → what to try next; else the thousandth image would try a thousand names


def _publish(draft, base, end):
    """Gives the draft the first free name: base.png, base-1.png, base-2.png …"""
    number = _next_number.get(base + end, 0)
    while True:
        path = base + ("-%d" % number if number else "") + end
        number += 1
        try:
            try:
                os.link(draft, path)
            except FileExistsError:
                continue
            except OSError:  # a file system without hard links: claim the name first
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                os.replace(draft, path)
            else:
                _remove(draft)
        except FileExistsError:
            continue
        if len(_next_number) >= _MOST_KEYS:
            _next_number.clear()
        _next_number[base + end] = number
        return path


def _file_name(text):
    """A part of a name as a harmless name of a file; "": nothing is left of it."""
    safe = "".join(c if c.isalnum() or c in "._-+=, @()[]" else "_" for c in text).strip(" ").lstrip(".")
    return safe.encode("utf-8", "replace")[:200].decode("utf-8", "ignore")


# ---- files


def save_file(path, name=None):
    """Copies a file or a folder into the run at once, so that the program may go on and overwrite its own.

    `name` is what it is called in the run, "best/model.pt" for example; by default as it is called. An older one of this
    name is replaced. Gives the path of the copy, or None.
    """
    try:
        source = os.path.abspath(os.fspath(path))
        name = os.path.normpath(os.fspath(name) if name else os.path.basename(source))
        target = _target_of(name)
        if os.path.isdir(source):
            count, size = _save_folder(source, target)
            more = ',"directory":true,"files":%d' % count
        else:
            size, more = _save_one(source, target), ""
    except Exception as error:
        kind = (type(error), getattr(error, "errno", 0))
        what = OSError if isinstance(error, OSError) else ValueError
        _complain("save_file", kind, "%s cannot be saved: %s" % (_shown(path), error), what)
        return None
    _append_event("file", ',"name":%s,"path":%s,"bytes":%d%s' % (_quote(name), _quote(_below_run(target)), size, more))
    return target


def _target_of(name):
    if not isinstance(name, str):
        raise TypeError("a name is text")
    if os.path.isabs(name) or name.split(os.sep)[0] in ("", ".", "..") or "\0" in name:
        raise ValueError("the name %r does not lie in the run's files" % name)
    target = os.path.join(files_dir, name)
    _check_inside(files_dir, os.path.dirname(target), name)
    return target


def _check_inside(root, folder, name):
    """A symbolic link may lead out, too."""
    real_root, real = os.path.realpath(root), os.path.realpath(folder)
    if real != real_root and not real.startswith(real_root + os.sep):
        raise ValueError("the name %r leads out of %s" % (name, root))


def _save_one(source, target):
    if os.path.realpath(source) == os.path.realpath(target):  # the program has written it there itself
        return os.stat(source).st_size
    _make_folders(os.path.dirname(target))
    draft = _draft_of(target)
    try:
        size = _copy(source, draft)
        if os.path.isdir(target) and not os.path.islink(target):
            _remove(target)
        os.replace(draft, target)
    except BaseException:
        _remove(draft)
        raise
    return size


def _save_folder(source, target):
    if os.path.realpath(source) == os.path.realpath(target):
        sizes = [os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(target) for name in names]
        return len(sizes), sum(sizes)
    _make_folders(os.path.dirname(target))
    draft, old = _draft_of(target), _draft_of(target)
    try:
        around = (os.path.realpath(os.environ.get("POSTER_STORE_DIR", files_dir)), os.path.realpath(files_dir))
        facts = _copy_folder(source, draft, around)  # a project without its store, a run without the copies in it
        if os.path.lexists(target):
            os.rename(target, old)
        os.rename(draft, target)
    except BaseException:
        _remove(draft)
        raise
    finally:
        _remove(old)
    return facts


def _copy_folder(source, target, without):
    """Copies what links lead to rather than the links; leaves out pipes, devices, and these folders. (files, bytes)"""
    real = os.path.realpath(source)
    if real in without:
        return 0, 0
    os.mkdir(target, 0o700)
    count = size = 0
    for entry in os.scandir(source):
        inner = os.path.join(target, entry.name)
        if entry.is_dir():
            files, length = _copy_folder(entry.path, inner, without + (real,))
        elif entry.is_file():
            files, length = 1, _copy(entry.path, inner)
        else:
            continue
        count, size = count + files, size + length
    return count, size


_FICLONE = 0x40049409


def _copy(source, target):
    """A new file with the same content, shared with the old one where the file system can; gives its size."""
    with open(source, "rb") as old:
        mode = os.fstat(old.fileno()).st_mode
        if (mode & 0o170000) != 0o100000:
            raise OSError("%s is no regular file" % source)
        with open(target, "xb", opener=_private) as new:
            if not _clone(old.fileno(), new.fileno()):
                _copy_in_kernel(old.fileno(), new.fileno())
                _copy_rest(old, new)
            if mode & 0o100:
                os.fchmod(new.fileno(), 0o700)
            return os.fstat(new.fileno()).st_size


def _clone(old, new):
    try:
        from fcntl import ioctl

        ioctl(new, _FICLONE, old)
        return True
    except (ImportError, OSError):
        return False


def _copy_in_kernel(old, new):
    try:
        while os.copy_file_range(old, new, 1 << 30):
            pass
    except (AttributeError, OSError):  # Python 3.7; between file systems; an old kernel
        pass


def _copy_rest(old, new):
    """From where the kernel stopped: both descriptors have moved along. An error that counts comes up here again."""
    from shutil import copyfileobj

    copyfileobj(old, new, 1 << 20)
    new.flush()


def _private(path, flags):
    return os.open(path, flags, 0o600)


def _draft_of(target):
    """A free name beside it, under which it is made first: nobody finds half of it."""
    folder, name = os.path.split(target)
    return os.path.join(folder, ".%s.%d.%s" % (name[:100], os.getpid(), os.urandom(4).hex()))


def _make_folders(folder):
    if folder and not os.path.isdir(folder):
        _make_folders(os.path.dirname(folder))
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass


def _remove(path):
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            from shutil import rmtree

            rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    except OSError:
        pass


def _below_run(path):
    return path[len(run_dir) + 1 :] if run_dir and path.startswith(run_dir + os.sep) else os.path.abspath(path)


# ---- lines


def _append_event(kind, fields, time=None):
    _append('{"kind":"%s","time":%.6f%s%s}\n' % (kind, time or _time(), _field_of_rank(), fields))


def _append(line):
    """One write for one line."""
    fd = _file if _file >= 0 else _ready()
    if fd < 0:
        return
    data = line.encode("utf-8", "replace")
    try:
        if _write(fd, data) == len(data):
            return
    except OSError:
        pass
    _append_again(line)


def _append_again(line):
    """After a failure, which may have left half a line. A disk that is full, or a directory that is gone, is told once
    and tried again with the next line."""
    global _fd, _file, _failed
    fd = _ready()
    if fd < 0:
        return
    data = line.encode("utf-8", "replace")
    try:
        if _write(fd, data) == len(data):
            return
        reason, number = "the disk is full", 0
    except OSError as error:
        reason, number = error.strerror, error.errno
    _failed = True
    _fd = _file = -1  # so that the next line looks at how this one ended
    _complain("events", number, "what is logged is lost: %s: %s" % (_events_dir, reason), OSError)


_opened = {}  # pid → descriptor
_failed = False  # a line could not be written
_file = -1  # this process's descriptor; _fd is the same, from when the rank is in the templates
_rank_field = ""


def _open():
    """Makes log_metric ready; gives the descriptor, or -1 after a complaint. Fixes the rank that metrics carry, and no
    sooner: many a worker logs its parameters before it joins its group."""
    global _fd, _rank_field, _metric, _metric_of_step
    fd = _file if _file >= 0 else _ready()
    if fd < 0:
        return -1
    _rank_field = _field_of_rank()
    _metric = '{"kind":"metric","time":%%.6f%s,"values":{%%s%%s}}\n' % _rank_field
    _metric_of_step = '{"kind":"metric","time":%%.6f,"step":%%d%s,"values":{%%s%%s}}\n' % _rank_field
    _fd = fd
    return fd


def _ready():
    """Opens this process's own file, or looks after it; gives the descriptor, or -1 after a complaint."""
    global _fd, _file
    _fd = _file = -1
    try:
        fd = _opened_fd()
        if _ends_with_half_a_line(fd):  # from when the disk was full
            _write(fd, b"\n")
    except OSError as error:
        _complain("events", error.errno, "what is logged is lost: %s: %s" % (_events_dir, error.strerror), OSError)
        return -1
    _file = fd
    return fd


def _ends_with_half_a_line(fd):
    """What another thread is writing at this moment may be seen in part, and is whole when looked at again."""
    for wait in (0,) if _failed else (0, 0.001, 0.01, 0.1):
        if wait:
            _sleep(wait)
        end = os.fstat(fd).st_size
        if not end or os.pread(fd, 1, end - 1) == b"\n":
            return False
    return True


def _opened_fd():
    pid = os.getpid()
    try:
        fd = _opened[pid]
        os.fstat(fd)
        return fd
    except (KeyError, OSError):  # closed by the program: a daemon closes all that is open
        _opened.pop(pid, None)
    path = "%s/%s.%d.jsonl" % (_events_dir, os.uname().nodename, pid)
    mine = _moved_up(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600))
    fd = _opened.setdefault(pid, mine)
    if fd != mine:  # another thread was faster
        os.close(mine)
    return fd


def _moved_up(fd):
    """To a high number. A program that closes what it does not know, and then opens a file of its own, gets the lowest
    free number: our lines must not end up in that file."""
    try:
        from fcntl import F_DUPFD_CLOEXEC, fcntl

        high = fcntl(fd, F_DUPFD_CLOEXEC, 200)
    except (ImportError, OSError, ValueError):
        return fd
    os.close(fd)
    return high


def _after_fork():
    """A forked process has a file of its own."""
    global _fd, _file
    _fd = _file = -1
    for fd in list(_opened.values()):
        try:
            os.close(fd)
        except OSError:
            pass
    _opened.clear()


def _field_of_rank():
    number = _found_rank()
    return "" if number is None else ',"rank":%d' % number


def _found_rank():
    for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        value = os.environ.get(name, "")
        if value.isdigit():
            return int(value)
    try:  # processes that torch.multiprocessing.spawn has started are told by argument
        distributed = sys.modules.get("torch.distributed")
        return distributed.get_rank() if distributed and distributed.is_initialized() else None
    except Exception:
        return None


# ---- JSON, written by hand: importing json would cost more than everything here


def _quote(text):
    if text.isprintable() and '"' not in text and "\\" not in text:
        return '"%s"' % text
    return '"%s"' % "".join(
        _ESCAPES.get(c) or ("\\u%04x" % ord(c) if c < " " else "?" if "\ud800" <= c <= "\udfff" else c) for c in text
    )


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DEEPEST = 20
_LONGEST_REPR = 200
_MOST_ELEMENTS = 1000


def _json(value, name="", depth=0):
    """Of any value; the value of a name that looks secret is left out."""
    try:
        return _json_of(value, name, depth)
    except Exception:  # of an object that cannot be asked
        return _quote(_shown(value))


def _json_of(value, name, depth):
    enum = sys.modules.get("enum")
    if enum and isinstance(value, enum.Enum):
        value = value.name
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return '"%s"' % _REDACTED if _redacted(name, value) == _REDACTED else _number(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        return _quote(_redacted(name, value))
    if depth < _DEEPEST:
        if isinstance(value, _Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
            return "[%s]" % ",".join(_json(element, name, depth + 1) for element in value)
        if isinstance(value, (set, frozenset)):
            return "[%s]" % ",".join(sorted(_json(element, name, depth + 1) for element in value))
        plain = _plain(value)
        if isinstance(plain, dict):
            fields = ((str(key), element) for key, element in plain.items())
            below = name + "." if name else ""
            return "{%s}" % ",".join(
                _quote(key) + ":" + _json(element, below + key, depth + 1) for key, element in fields
            )
        if plain is not value:
            return _json(plain, name, depth + 1)
    return _quote(_redacted(name, _shown(value)))


def _plain(value):
    """A dict of what has fields, Python's own numbers and lists of what is numpy's or its like; else the value."""
    if isinstance(value, type):
        return value
    if hasattr(value, "__dataclass_fields__"):
        return {field: getattr(value, field, None) for field in value.__dataclass_fields__}
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return dict(_items(value))
    if hasattr(value, "numpy") and not hasattr(value, "tolist"):
        value = value.numpy()
    if hasattr(value, "tolist") and hasattr(value, "shape"):
        count = 1
        for length in value.shape:
            count *= length
        return value.tolist() if count <= _MOST_ELEMENTS else value
    namespace = sys.modules.get("argparse")
    if namespace and isinstance(value, namespace.Namespace):
        return vars(value)
    return value


def _items(values):
    """Pairs of name and value of whatever has them."""
    if isinstance(values, dict):
        return list(values.items())
    if hasattr(values, "keys") and hasattr(values, "__getitem__"):
        return [(key, _item(values, key)) for key in values.keys()]
    if hasattr(values, "__dataclass_fields__"):
        return [(field, getattr(values, field, None)) for field in values.__dataclass_fields__]
    return list(vars(values).items())


def _item(values, key):
    try:
        return values[key]
    except Exception:  # OmegaConf's, of what is missing, or refers to what is missing
        return "???"


def _shown(value):
    try:
        text = repr(value)
    except Exception:
        text = object.__repr__(value)
    return text if len(text) <= _LONGEST_REPR else text[: _LONGEST_REPR - 1] + "…"


def _text_of(value):
    try:
        return value if isinstance(value, str) else str(value)
    except Exception:
        return object.__repr__(value)


def _described(value):
    """A value in the words of a complaint."""
    name = type(value).__name__
    try:
        return "%s of shape %s" % (name, tuple(value.shape))
    except Exception:
        return "None" if value is None else ("an " if name[0] in "aeiou" else "a ") + name


# ---- complaints

_told = set()


def _complain(where, kind, text, error=TypeError):
    """One line on stderr for each kind of mistake; with POSTER_STRICT=1 an exception."""
    if os.environ.get("POSTER_STRICT", "") not in ("", "0"):
        raise error("poster: %s: %s" % (where, text))
    if (where, kind) in _told:
        return
    _told.add((where, kind))
    try:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        place = "%s:%d" % (frame.f_code.co_filename, frame.f_lineno)
        sys.stderr.write("poster: %s: %s (%s; said once, POSTER_STRICT=1 makes it an error)\n" % (where, text, place))
        sys.stderr.flush()
    except Exception:  # stderr is closed, or none
        pass


# ---- secrets: the rules of poster's own redaction (src/run/secret_names.cpp and secret_shapes.cpp)

_REDACTED = "<redacted>"
_HARMLESS, _LIKELY, _SECRET = 0, 1, 2  # likely: the value decides


def _is_secret_name(name):
    """Whether a value of this name may be secret: api_key is, max_tokens and sort_key are not."""
    return _verdict(name.lstrip("-+~")) != _HARMLESS


def _redacted(name, value):
    """The value of one parameter, or what stands in its place. Of text, parts that look secret are left out, too."""
    text = value if isinstance(value, str) else str(value)
    bare = name.lstrip("-+~")
    verdict = _verdict(bare)
    if verdict != _HARMLESS and not _is_never_secret(text):
        if verdict == _SECRET or not _looks_harmless(bare, text):
            return _REDACTED
    return _without_shapes(value) if isinstance(value, str) else value


_STRONG = (
    "password passwords passwd passphrase passcode secret secrets credential credentials creds cred bearer cookie"
    " cookies jwt authorization apikey apikeys accesskey privatekey secretkey sessionkey authkey authtoken accesstoken"
    " apitoken sessiontoken pwd"
)
# Of one word in which nobody marked where the parts meet: PGPASSWORD, openaiapikey.
_STRONG_ENDINGS = (
    "password passwd passphrase apikey accesskey secretkey privatekey authtoken accesstoken apitoken authkey"
    " sessionkey sessiontoken hftoken githubtoken bottoken clientsecret refreshtoken bearertoken"
)
# "api key", "access tokens": beyond doubt.
_VOUCHING = (
    "api access secret private auth oauth bearer refresh session signing encryption master deploy service client"
    " consumer account license subscription ssh webhook security personal ci push registry github gitlab gh hf"
    " huggingface openai anthropic wandb aws azure gcp google slack telegram discord vault npm pypi comet neptune"
    " cohere gemini csrf"
)
_VOUCHING_PLURAL = "api access secret private auth oauth bearer refresh session"
# A last word that says the value is about the secret, not the secret.
_ABOUT = (
    "file files filename path paths dir directory folder location name names method methods type types mode helper"
    " provider policy length len size timeout ttl expiry expires expiration lifetime env var field column version"
    " count min max required enabled enable disabled stdin prompt sock socket backend scheme strategy class plugin url"
    " uri host hostname port realm domain server endpoint interval rotation cache store manager user username format"
    " algorithm alg strength limit limits budget jar agent info dim dims index ring group"
)
_HARMLESS_NEAR = (
    "max min num n total sort sorted cls pad padding eos bos mask masked sep unk unknown special per dim dims size"
    " len length count counts ids index indices idx type types primary foreign monitor metric metrics group groupby"
    " public pub order orderby dict column col field budget limit pos position image images img new vision visual"
    " audio video prefix suffix class begin eot eod eom im decoder encoder byte bytes sub subword word char prompt"
    " learnable distill distillation latent summary separator blank fim skip drop dropout keep patch src tgt forced"
    " suppress ignore multi loss reward think thinking label labels join partition lookup merge compare cmp rng prng"
    " seed heads embed embedding embeddings attn attention kv early checkpoint ckpt plot hot arrow press shortcut avg"
    " mean std sum ratio rate levels steps ctx completion generated generate trainable fill"
)
# TEST_TOKEN and DATA_KEY are variables with secrets.
_HARMLESS_IN_CONFIG = (
    "test data config source target targets global local cache node object bucket item state instance register input"
    " inputs output outputs text value values hash random single train val eval result head memory start end stop next"
    " prev previous first last best param params row block step level x y dist score context feature features dataset"
    " batch extra filter query"
)
_CARRIES_AUTH = "header headers string data code hash config json basic"
_PASS_OWNERS = (
    "db smtp mysql pg postgres redis mail email ftp ssh sudo http proxy root admin login key mongo docker imap ldap"
    " user database rabbitmq vpn wifi"
)
_word_sets = {}


def _one_of(word, words):
    """Whether it is one of those, which are separated by blanks."""
    if words not in _word_sets:
        _word_sets[words] = frozenset(words.split())
    return word in _word_sets[words]


class _Name:
    """A name in words, as secret_names.cpp takes it apart."""

    def __init__(self, text):
        import re

        self.words, self.parts, self.chunks = [], [], []  # parts: which dotted part each word stands in
        for match in re.finditer("[0-9A-Za-z]+", text):
            part = sum(text.count(mark, 0, match.start()) for mark in "./:@")
            self.chunks.append(match.group().lower())
            # "fooBarHTTPKey" is foo, Bar, HTTP, Key.
            for word in re.sub("(?<=[^A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", match.group()).split():
                self.words.append((word[0] + word[1:].rstrip("0123456789")).lower())
                self.parts.append(part)
        last = re.split("[./:@]", text)[-1]
        self.shouting = bool(re.search("[A-Z]", last)) and not re.search("[a-z]", last)  # like a variable


_verdicts = {}


def _verdict(name):
    if name not in _verdicts:
        if len(_verdicts) >= _MOST_KEYS:
            _verdicts.clear()
        _verdicts[name] = _judge(name)
    return _verdicts[name]


def _judge(text):
    name = _Name(text)
    worst = max([_judge_word(name, at, text) for at in range(len(name.words))] or [_HARMLESS])
    if worst == _SECRET or not name.words or _one_of(name.words[-1], _ABOUT) or text == "PWD":
        return worst
    if any(_one_of(chunk, _STRONG) or chunk.endswith(tuple(_STRONG_ENDINGS.split())) for chunk in name.chunks):
        return _SECRET
    return worst


def _judge_word(name, at, text):
    words, last = name.words, at + 1 == len(name.words)
    word, before = words[at], words[at - 1] if at > 0 else ""
    about = not last and _one_of(words[-1], _ABOUT)
    if _one_of(word, _STRONG):
        return _HARMLESS if about or (word == "pwd" and text in ("PWD", "OLDPWD")) else _SECRET
    if word in ("key", "keys", "token", "tokens"):
        return _HARMLESS if about else _judge_key(name, at)
    if word == "auth":
        return _LIKELY if last else _SECRET if _one_of(words[at + 1], _CARRIES_AUTH) else _HARMLESS
    if word == "pass":
        if not last:
            return _HARMLESS  # pass_rate
        if _one_of(before, _PASS_OWNERS):
            return _SECRET
        return _LIKELY if name.shouting or len(words) == 1 else _HARMLESS  # two_pass
    return _SECRET if word == "pat" and _one_of(before, _VOUCHING) else _HARMLESS


def _judge_key(name, at):
    words, last, plural = name.words, at + 1 == len(name.words), name.words[at].endswith("s")
    if at > 0 and _one_of(words[at - 1], _VOUCHING_PLURAL if plural else _VOUCHING):
        counted = words[0] in ("max", "num", "n", "min") and name.parts[0] == name.parts[at]
        return _HARMLESS if counted else _SECRET
    if plural:
        return _HARMLESS
    for i, word in enumerate(words):
        if i != at and (_one_of(word, _HARMLESS_NEAR) or (not name.shouting and _one_of(word, _HARMLESS_IN_CONFIG))):
            if name.parts[i] == name.parts[at] or (i + 1 == at and last):  # "sort.key"
                return _HARMLESS
    # "token_mixer", "key_padding_mask", "KeyError", but also API_TOKEN_GITHUB.
    return _LIKELY if last or (name.shouting and words[at + 1] != "id") else _HARMLESS


def _is_never_secret(value):
    if value.lower() in ("", "true", "false", "none", "null", "yes", "no", "on", "off", _REDACTED):
        return True
    if len(value) < 2 or value[0] != "$":  # "$API_KEY", "${oc.env:API_KEY}" say where the secret is
        return False
    if value[1] == "{":
        return value.find("}") == len(value) - 1
    return all(c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_" for c in value[1:])


def _looks_harmless(name, value):
    """Of a name that is only likely to be a secret's."""
    digits = sum(c in "0123456789" for c in value)
    if 0 < digits <= 5 and all(c in "0123456789.,+-eE" for c in value):  # a vocabulary is not that big
        return True
    if value.startswith(("./", "../", "~/")):
        return True
    if value.startswith("/") and "/" in value[1:] and "+" not in value and "=" not in value:
        return True
    if len(value) > 2 and value[0] + value[-1] in ("<>", "[]"):  # "<|endoftext|>", "[PAD]"
        return True
    methods = "basic digest ntlm token oauth oauth2 bearer kerberos gssapi md5 password browser iam ldap mtls anonymous"
    if name.lower().endswith("auth") and value.lower() in methods.split():
        return True
    lower = all("a" <= c <= "z" for c in value)  # "key=loss": the name of a column
    return name == "key" and len(value) <= 8 and lower and "secret" not in value and "pass" not in value


# Prefix, what follows it (w: letters, digits, _ and -; a: letters and digits; u: capitals and digits; .: w and dots;
# with a digit in it: !), how many at least.
_SHAPES = (
    "sk-ant-w8 sk-proj-w8 sk-or-w12 sk-w!12 sk_live_a8 sk_test_a8 rk_live_a8 whsec_a12 ghp_a16 gho_a16 ghu_a16 ghs_a16"
    " ghr_a16 github_pat_w12 glpat-w12 hf_a20 AKIAu16 ASIAu16 ABIAu16 ACCAu16 xoxa-w8 xoxb-w8 xoxp-w8 xoxr-w8 xoxs-w8"
    " xoxe-w8 xapp-w!16 AIzaw30 ya29.w8 npm_a30 pypi-w16 dckr_pat_w12 nvapi-w16 gsk_a20 r8_a30 xai-a30 pplx-a30 hvs.w16"
    " dop_v1_a32 shpat_a24 ATATT3w24 SG..!20 AGE-SECRET-KEY-1u16 wandb_v1_w16 lin_api_a20"
)


_patterns = None


def _shapes():
    """Patterns of keys, webhooks, private keys, and logins in URLs."""
    import re

    bodies = {"w": "[0-9A-Za-z_-]", "a": "[0-9A-Za-z]", "u": "[0-9A-Z]", ".": "[0-9A-Za-z_.-]"}
    patterns = ["eyJ[0-9A-Za-z_-]{5,4093}[.][0-9A-Za-z_-]{8}[0-9A-Za-z_.-]*"]  # JWT
    for shape in _SHAPES.split():
        prefix, body, digit, least = re.match("(.*?)([wau.])(!?)([0-9]+)$", shape).groups()
        ahead = "(?=%s{0,199}[0-9])" % bodies[body].replace("0-9", "", 1) if digit else ""
        patterns.append(re.escape(prefix) + ahead + "%s{%s,}" % (bodies[body], least))
    bot = "(?:(?<![0-9A-Za-z_])|(?<=bot))[0-9]{8,12}:[0-9A-Za-z_-]{32,40}(?![0-9A-Za-z_-])"  # of Telegram
    return (
        re.compile("(?<![0-9A-Za-z_])(?:%s)|%s" % ("|".join(patterns), bot)),
        re.compile("((?:hooks[.]slack[.]com/services|discord(?:app)?[.]com/api/webhooks)/)[0-9A-Za-z_/-]+"),
        re.compile("-----BEGIN [^\n]*?PRIVATE KEY.*?(?:-----END [^\n]*?-----|$)", re.DOTALL),
        re.compile("(://[^/?#@:\\s\"'`,;|()]*):[^/?#\\s\"'`,;|()]+@"),
    )


def _without_shapes(text):
    """Leaves out what is told to be secret by its looks: keys with a known prefix, private keys, logins of URLs."""
    global _patterns
    if len(text) < 12:
        return text
    _patterns = _patterns or _shapes()
    key, webhook, pem, login = _patterns
    text = pem.sub(_REDACTED, text) if "-----BEGIN " in text else text
    text = login.sub("\\1:%s@" % _REDACTED, text) if "@" in text else text
    return webhook.sub("\\1" + _REDACTED, key.sub(_REDACTED, text))


# ---- what is worked out when it is asked for


def __getattr__(name):
    if name == "LogHandler":
        handler = globals()["LogHandler"] = _make_log_handler()  # `logging` is loaded for those who log with it
        return handler
    if name == "rank":
        return _found_rank() or 0  # a program of one process is its own first one
    if name == "checkpoint_dir":
        folder = os.path.join(files_dir, "checkpoints")
        _make_folders(folder)
        return folder
    raise AttributeError("module %r has no attribute %r" % (__name__, name))


def __dir__():
    return [*__all__, "LogHandler", "checkpoint_dir", "rank"]


# ---- outside a run: the same calls, at the price of a call


def _do_nothing():
    global log_metric, log_metrics, log_message, log_image, log_images, save_file, log_config, set_summary, notify
    real = {name: globals()[name] for name in __all__ if callable(globals().get(name))}

    def log_metric(name, value, step=None, epoch=None):
        pass

    def log_metrics(values, step=None, epoch=None):
        pass

    def log_message(text, level="info"):
        pass

    def log_image(name, image, step=None, caption=None, notify=False):
        pass

    def log_images(name, images, step=None, captions=None, notify=False):
        return []

    def save_file(path, name=None):
        pass

    def log_config(values=None, **named):
        pass

    def set_summary(values=None, **named):
        pass

    def notify(text):
        pass

    for name, function in real.items():
        globals()[name].__doc__ = function.__doc__
        globals()[name].__qualname__ = name  # so that it can be pickled, as a callback for example


if active:
    os.register_at_fork(after_in_child=_after_fork)
else:
    _do_nothing()

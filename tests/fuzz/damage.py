"""How files are damaged, by accident or on purpose: by chance, which is the first argument."""

from __future__ import annotations

import copy
import io
import json
import tarfile
import zipfile
from types import MappingProxyType

NUMBERS = (0, 1, -1, 2, 127, 255, 2**31 - 1, -(2**31), 2**32, 2**62, 2**63, 10**30)
FLOATS = (0.5, -1.0, 1e308, float("nan"), float("inf"))
TEXTS = (
    "",
    "a",
    "\0",
    "../a",
    "/etc/passwd",
    "\x1b[31m",
    "\ud800",
    "é" * 300,
    "x" * 3000,
    "1" * 5000,
)
VALUES = (*NUMBERS, *FLOATS, *TEXTS, None, True, False, [], {}, [[]], [None], {"kind": "x"},
          {"b64": "x"}, {"class_name": "x"})  # fmt: skip
KINDS = ("flip", "put", "insert", "cut", "repeat", "end", "number")


def damaged(random, content, most=4):
    """Bytes with one or several places changed."""
    content = bytearray(content)
    for _ in range(random.randint(1, most)):
        kind = random.choice(KINDS)
        place = random.randint(0, max(0, len(content) - 1))
        span = slice(place, place + random.choice([1, 2, 4, 8, 64, 1000]))
        if kind == "flip" and content:
            content[place] ^= 1 << random.randint(0, 7)
        elif kind == "put":
            new = random.randbytes(random.randint(1, 8))
            content[place : place + len(new)] = new
        elif kind == "insert":
            content[place:place] = random.randbytes(random.randint(0, 16))
        elif kind == "cut":
            del content[span]
        elif kind == "repeat":
            content[place:place] = content[span] * random.choice([1, 3, 100])
        elif kind == "end":
            del content[place:]
        elif kind == "number":
            width = random.choice([1, 2, 4, 8])
            order = random.choice(["little", "big"])
            number = random.choice(NUMBERS) % 256**width
            content[place : place + width] = number.to_bytes(width, order)
    return bytes(content)


def altered(random, document, most=3):
    """A JSON document in which some values are others, are gone or have another name."""
    document = json.loads(json.dumps(document))
    for _ in range(random.randint(1, most)):
        places = list(_places(document))
        if not places:
            return _value(random)
        holder, key = random.choice(places)
        kind = random.choice(["value", "value", "gone", "name", "twice"])
        if kind == "value":
            holder[key] = _value(random)
        elif kind == "gone":
            del holder[key]
        elif kind == "name" and isinstance(holder, dict):
            holder[random.choice(TEXTS)] = holder.pop(key)
        else:
            other, there = random.choice(places)
            if there in other if isinstance(other, dict) else there < len(other):
                holder[key] = json.loads(json.dumps(other[there]))
    return document


def _value(random):
    """One that is seldom meant: lists within lists too, as deep as none is."""
    value = copy.deepcopy(random.choice(VALUES))
    for _ in range(random.choice([0] * 20 + [150, 600])):
        value = [value]
    return value


def _places(document):
    """Every (list or object, index or key) inside."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield value, key
            if isinstance(value[key], (dict, list)):
                waiting.append(value[key])


def text(document):
    """A document as the bytes of its file."""
    return json.dumps(document).encode()


def damaged_json(random, content):
    """The bytes of a JSON file, damaged as one or as text."""
    if random.randint(0, 3):
        return text(altered(random, json.loads(content)))
    return damaged(random, content)


def damaged_message(random, message, most=3):
    """A protocol buffer in which some fields are others, are gone, or are there twice."""
    changed = type(message)()
    changed.CopyFrom(message)
    for _ in range(random.randint(1, most)):
        inside = changed
        for _ in range(random.randint(0, 12)):
            field, value = random.choice(inside.ListFields() or [(None, None)])
            if field is None:
                break
            if field.message_type is None:
                _change(random, inside, field, value)
                break
            if field.message_type.GetOptions().map_entry:
                if not field.message_type.fields_by_name["value"].message_type:
                    break
                inside = value[random.choice(sorted(value))]
            elif isinstance(value, type(inside)) or hasattr(value, "ListFields"):
                inside = value
            else:
                kind = random.choice(["in", "in", "in", "gone", "twice"])
                place = random.randint(0, len(value) - 1)
                if kind == "gone":
                    del value[place]
                    break
                if kind == "twice":
                    value.add().CopyFrom(value[place])
                    break
                inside = value[place]
        else:
            inside.Clear()
    return changed


def _change(random, message, field, value):
    """Another value for a field that is no message."""
    repeated = hasattr(value, "append")
    kind = field.cpp_type
    if kind in (field.CPPTYPE_INT32, field.CPPTYPE_ENUM):
        new = random.choice([-1, 0, 1, 2, 7, 20, 21, 100, 2**31 - 1])
    elif kind == field.CPPTYPE_INT64:
        new = random.choice([-(2**63), -2, -1, 0, 1, 2, 2**31, 2**62, 2**63 - 1])
    elif kind in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64):
        new = random.choice([0, 1, 2**31])
    elif kind == field.CPPTYPE_BOOL:
        new = not value if not repeated else True
    elif field.type == field.TYPE_STRING:
        new = random.choice(["", "a", "../a", "x:0", "^x", "NoOp", "Const", "é" * 100])
    elif kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        new = random.choice(FLOATS[:3])
    else:  # bytes
        old = value[0] if repeated else value
        new = damaged(random, old) if old else b"x"
    try:
        if not repeated:
            setattr(message, field.name, new)
        elif random.random() < 0.5:
            value.append(new)
        else:
            value[random.randint(0, len(value) - 1)] = new
    except ValueError:  # an enumeration without that number
        message.ClearField(field.name)


def damaged_zip(random, content, how=MappingProxyType({})):
    """A zip archive, damaged as one, or with one member damaged as `how` has it by its suffix."""
    if not random.randint(0, 4):
        return damaged(random, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(sorted(members))
    members[name] = how.get(name.rpartition(".")[2], damaged)(random, members[name])
    if not random.randint(0, 9):
        del members[name]
    made = io.BytesIO()
    compression = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, inside in members.items():
            archive.writestr(name, inside)
    return made.getvalue()


def archives(random, files):
    """A tar archive of files and of what no archive of a model holds, damaged or not."""
    made = io.BytesIO()
    mode = random.choice(["w", "w:gz"])
    formats = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
    with tarfile.open(fileobj=made, mode=mode, format=random.choice(formats)) as tar:
        for name, content in files.items():
            _add(tar, name, content)
        for _ in range(random.randint(0, 3)):
            odd = ["../a", "/tmp/a", "a/../../b", "a\\b", "1/saved_model.pb/x", "", "é", "a" * 90]
            member = tarfile.TarInfo(random.choice([*odd, *files]))
            member.type = random.choice([b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"L"])
            member.linkname = random.choice(["", "/etc/passwd", "..", *files])
            member.size = random.choice([0, 1, 600])
            content = io.BytesIO(b"\0" * member.size)
            if random.random() < 0.25:  # a header that declares more than follows
                member.type, member.size = tarfile.CONTTYPE, 2**33
                tar.fileobj.write(member.tobuf(tar.format, tar.encoding, tar.errors))
            else:
                tar.addfile(member, content)
    content = made.getvalue()
    return damaged(random, content) if random.random() < 0.5 else content


def _add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))

"""Files damaged in ways that happen and in ways that somebody means: JSON, XML, YAML, lists, and any bytes."""

import copy
import json
import re

import yaml
from fuzz_bytes import cut_or_changed, damaged_png
from mutated_json import STRANGE, mutated

TEXTS = (
    *("../../../x", "..\\..\\x", "/etc/passwd", "C:\\x", "a\nb", "a\r\u2028b\x1b[31m", ".", "..", "~nobody/x", "$X/y"),
    *("a\0b", "x" * 300, "x/" * 3000, "\ud800", " ", "", "%s{0}", "\u0130", "a.png", "b/c.png", "-1", "1e999", "nan"),
    *("9" * 5000, "0x10", "1_0", "\u0663", "1" + "0" * 30, "4294967296", "0,4294967296", "100000", "-0.0"),
)
NUMBERS = (
    -1,
    0,
    1,
    2,
    5,
    7,
    255,
    256,
    65535,
    10**4,
    10**5,
    2**31 - 1,
    2**32,
    2**53,
    2**63,
    10**18,
    10**400,
    0.1,
    1e-300,
)


def damaged(name, whole, rng):
    """The bytes of a file that was `whole`, made wrong in one way or a few."""
    if rng.random() < 0.15:
        return cut_or_changed(whole, rng)
    suffix = name.rpartition(".")[2]
    return {"json": _json, "png": damaged_png, "xml": _xml, "yaml": _yaml, "txt": _list}.get(suffix, cut_or_changed)(
        whole, rng
    )


# ---- JSON --------------------------------------------------------------------------------------------------------


def _json(whole, rng):
    content = json.loads(whole)
    way = rng.random()
    if way < 0.1:
        return _nested(whole, rng)
    if way < 0.3:
        content = mutated(content, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3)) if way >= 0.3 else rng.choice((0, 0, 1))):
        content = _changed(content, rng)
    return json.dumps(content).encode()


def _changed(content, rng):
    """One value deep inside is another now, or stands elsewhere."""
    parents = [value for value in _inside(content) if isinstance(value, dict | list) and value]
    if not parents:
        return content
    parent = rng.choice(parents)
    key = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
    way = rng.random()
    if way < 0.3:
        parent[key] = rng.choice(TEXTS)
    elif way < 0.6:
        parent[key] = rng.choice(NUMBERS)
    elif way < 0.75:
        parent[key] = copy.deepcopy(rng.choice(STRANGE))
    elif way < 0.9:
        parent[key] = json.loads(json.dumps(rng.choice(list(_inside(content)))))
    elif isinstance(parent, list):
        rng.shuffle(parent)
    return content


def _inside(value):
    yield value
    if isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _inside(entry)


def _nested(whole, rng):
    """Lists in lists, or dictionaries in dictionaries, in the place of a number."""
    numbers = list(re.finditer(rb"(?<=[:,\[ ])\d+(?=[,\]}])", whole))
    depth = rng.choice((40, 200, 400, 900, 980, 5000, 200_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    place = rng.choice(numbers) if numbers else None
    start, end = place.span() if place else (0, len(whole))
    return whole[:start] + opening * depth + b"1" + closing * depth + whole[end:]


# ---- XML ---------------------------------------------------------------------------------------------------------

_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
_DOCTYPES = (
    f'<!DOCTYPE annotations [<!ENTITY l0 "ha">{_LAUGHS}]>',
    '<!DOCTYPE annotations [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE annotations SYSTEM "http://localhost:1/x.dtd">',
    '<!DOCTYPE annotations [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>',
)


def _xml(whole, rng):
    text = whole.decode()
    for _ in range(rng.choice((1, 1, 2, 4))):
        text = _changed_xml(text, rng)
    return text.encode("utf-8", "surrogatepass")


def _changed_xml(text, rng):
    way, lines = rng.random(), text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    if way < 0.45:
        return _other_attribute(text, rng)
    if way < 0.55:
        lines[at : at + 1] = []
    elif way < 0.65:
        lines.insert(at, rng.choice(lines))
    elif way < 0.7:
        rng.shuffle(lines)
    elif way < 0.8:
        lines.insert(min(at, 1), rng.choice(_DOCTYPES))
        lines[-1] = "&l9;&x;" + lines[-1]
    elif way < 0.85:
        depth = rng.choice((20, 40, 100_000))
        lines.insert(at, "<a>" * depth + "</a>" * depth)
    elif way < 0.9:
        names = ("utf-16", "latin-1", "nonsense", "idna", "utf-7", "ascii", "")
        return text.replace('encoding="utf-8"', f'encoding="{rng.choice(names)}"')
    else:
        odd = ("<![CDATA[x]]>", "<!-- -- -->", "&#0;", "&#1114112;", "<?x?>", '<track id="0">', "<image>", "x" * 10**6)
        lines.insert(at, rng.choice(odd))
    return "".join(lines)


def _other_attribute(text, rng):
    places = list(re.finditer(r'="([^"]*)"|>([^<>\n]+)<', text))
    if not places:
        return text
    place = rng.choice(places)
    start, end = place.span(1) if place.group(1) is not None else place.span(2)
    numbers = (str(n) for n in rng.sample(NUMBERS[:-3], 2))
    value = rng.choice(
        (*TEXTS, *numbers, "1,2;3,4", "1,2,3", ",;,", "0," * 5000 + "0", "1e9,1;2,1e9;3,3", rng.choice(places)[0])
    )
    return f"{text[:start]}{value.replace(chr(34), '').replace('<', '')}{text[end:]}"


# ---- YAML and lists ----------------------------------------------------------------------------------------------

_YAML_LAUGHS = "l0: &l0 [ha, ha]\n" + "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
_YAML_PIECES = (
    *("&a [*a]", "&a {x: *a}", "*nobody", "!!python/object/apply:os.system [ls]", "!!python/name:os.system", "!x y"),
    *("!!binary aGk=", "!!set {a, b}", "!!timestamp 2001-99-99", "2001-99-99", "!!omap [a: 1]", "!!float x", "!!int x"),
    *(
        "{<<: {a: 1}}",
        "{<<: [1]}",
        "{[a]: b}",
        "{{a: 1}: b}",
        "0b2",
        "0o9",
        "1:99:99",
        ".inf",
        "!!str",
        "|\n  x",
        "? a",
    ),
    *(
        "'a\\0b'",
        '"a\\0b"',
        '"\\ud800"',
        '"a\\nb"',
        "[" * 60 + "]" * 60,
        "[" * 3000 + "]" * 3000,
        "{a: " * 3000,
        "*l11",
    ),
    *("../../x", "~nobody-at-all/x", "$HOME-NOT", "x/" * 3000, "'{split}'", "x" * 300, "9" * 5000, "1e400", "~", "off"),
    *("{train: 0.5, val: 0.5}", "{train: 1e-9, val: .nan}", "{train: 0.3}", "[train, val]", "{train: {list: ..}}"),
    *("{train: {annotations: labels}, val: {annotations: labels, images: images}}", "{train: {list: images}}"),
    *("coco", "auto", "cvat", "id_masks", "mask_folders", "semantic", "labelme", "coco_stuff", "nobody"),
    *("lvis", "fiftyone", "supervisely"),
    *("[cat]", "[cat, cat]", "[{name: cat, id: 99999999999999999999}]", "[{name: sky, id: -5}]", "[{name: [cat]}]"),
)


def _yaml(whole, rng):
    way = rng.random()
    if way < 0.3:
        content = yaml.safe_load(whole)
        for _ in range(rng.choice((1, 1, 2, 3))):
            content = _changed(mutated(content, rng) if rng.random() < 0.5 else content, rng)
        return yaml.safe_dump(content, allow_unicode=False).encode()
    text = whole.decode()
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = _other_piece(text, rng)
    return text.encode("utf-8", "surrogatepass")


def _other_piece(text, rng):
    lines, way = text.splitlines(keepends=True), rng.random()
    at = rng.randrange(len(lines))
    if way < 0.15:
        lines[at : at + 1] = []
    elif way < 0.2:
        lines.insert(at, rng.choice(lines))
    elif way < 0.5:
        lines[at] = f"{lines[at].partition(':')[0]}: {rng.choice(_YAML_PIECES)}\n"
    else:
        words = list(re.finditer(r"[\w./]+(?=[,\]} \n])", text))
        start, end = rng.choice(words).span() if words else (0, 0)
        return _with_laughs(f"{text[:start]}{rng.choice(_YAML_PIECES)}{text[end:]}")
    return _with_laughs("".join(lines))


def _with_laughs(text):
    return _YAML_LAUGHS + text if "*l11" in text and "&l11" not in text else text


def _list(whole, rng):
    pieces = [*TEXTS, *IMAGES_OF_LISTS, "\ufeffa.png", "a.png\x85b/c.png", "a.png\rb/c", "x" * 10**6, "images/a.png"]
    lines = [rng.choice(pieces) for _ in range(rng.choice((0, 1, 2, 5)))]
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1"))
    return (whole.decode() + rng.choice(("\n", "\r\n", "\0")).join(lines)).encode(encoding, "replace")


IMAGES_OF_LISTS = ("a.png", "a", "b/c", "c.png", "b\\c.png", "")

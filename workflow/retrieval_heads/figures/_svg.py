"""Figures' SVG files in few bytes: they look as matplotlib draws them, and a page can hold them all.

Matplotlib writes six decimals of a point, and the whole style of each mark beside it. Here a coordinate has two
decimals, far below what a screen or paper shows; marks that follow each other and share a style, or what clips them,
have it once, from a group around them; paths that are alike are written once; and nothing is left that draws nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, groupby
from string import ascii_letters
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_SVG, _XLINK, _DUBLIN = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink", "http://purl.org/dc/elements/1.1/"
_PREFIXES = {
    "": _SVG,
    "xlink": _XLINK,
    "dc": _DUBLIN,
    "cc": "http://creativecommons.org/ns#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}
_G, _USE, _PATH, _DEFS, _STYLE, _METADATA = (
    f"{{{_SVG}}}{name}" for name in ("g", "use", "path", "defs", "style", "metadata")
)
_HREF, _DESCRIPTION = f"{{{_XLINK}}}href", f"{{{_DUBLIN}}}description"
_DECIMALS = 2
_UNITS = 10**_DECIMALS
"""Coordinates are counted in hundredths of a point."""

_COMMAND = re.compile(r"([MLQCz])([^A-Za-z]*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_TRANSLATE = re.compile(r"translate\(([^)]*)\)")
_SCALE = re.compile(r"(.*)scale\(([\d.]+) -\2\)")
_LETTER, _LETTER_UNITS, _UNITS_KEPT = "scale(0.015625)", 64, 4
"""How matplotlib writes letters, in a font's whole units, of which a text's units have so many; and how many of these
are told apart here, 400 in the height of a line."""

_TARGET = re.compile(r"url\(#([^)]*)\)")
_LENGTHS = ("x", "y", "width", "height", "cx", "cy", "r")

Style = dict[str, str]


@dataclass
class _Mark:
    """An element that draws, with all that its groups said of it."""

    element: Element
    style: Style
    clip: str | None


def smaller(svg: str) -> str:
    """The same picture in fewer bytes.

    Parameters
    ----------
    svg : a file as matplotlib writes it.
    """
    root = ElementTree.fromstring(svg)
    defs = Element(_DEFS)
    style: Style = {}
    marks = list(_marks(root, {}, None, defs, style))
    _join_letters(marks, defs)
    _share_paths(marks, defs)
    targets = {element.get("id"): _style(element) for element in defs if element.tag == _PATH}
    for mark in marks:
        # What a path says of itself counts more than what is said where it is used.
        own = targets.get(mark.element.get(_HREF, "#")[1:], {}) if mark.element.tag == _USE else {}
        mark.style = {name: value for name, value in mark.style.items() if name not in own}
    described = [element for element in root.iter(_METADATA) if element.find(f".//{_DESCRIPTION}") is not None]
    for child in list(root):
        root.remove(child)
    _set_style(root, style)
    root.extend([*described, *([defs] if len(defs) else []), *_grouped(marks)])
    for element in root.iter():
        _round(element)
    _rename(root)
    return _text(root)


def _marks(parent: Element, style: Style, clip: str | None, defs: Element, everywhere: Style) -> Iterator[_Mark]:
    """All that is drawn, in this order; what others refer to goes to ``defs``, what holds of all to ``everywhere``."""
    for element in parent:
        own = {**style, **_style(element)}
        if element.tag == _DEFS:
            for child in element:
                if child.tag == _STYLE:
                    everywhere.update(_properties((child.text or "").strip().removeprefix("*{").removesuffix("}")))
                else:
                    _set_style(child, _style(child))
                    defs.append(child)
        elif element.tag == _G and not {*element.keys()} - {"id", "style", "clip-path"} and "opacity" not in own:
            yield from _marks(element, own, element.get("clip-path", clip), defs, everywhere)
        elif element.tag == _G:
            yield _Mark(_group(element, _inside(element, defs, everywhere)), own, clip)
        elif element.tag != _METADATA and _draws(element, own):
            yield _Mark(element, own, element.attrib.pop("clip-path", clip))


def _inside(element: Element, defs: Element, everywhere: Style) -> list[Element]:
    """What stands in a group that stays one, such as the letters of a text."""
    return _grouped(list(_marks(element, {}, None, defs, everywhere)))


def _draws(element: Element, style: Style) -> bool:
    return element.tag != _PATH or style.get("fill") != "none" or style.get("stroke", "none") != "none"


def _group(like: Element, children: Iterable[Element]) -> Element:
    group = Element(_G, {name: value for name, value in like.items() if name != "style"})
    group.extend(children)
    return group


def _join_letters(marks: list[_Mark], defs: Element) -> None:
    """Make each text one path: a browser takes far longer for an element of each letter."""
    letters = {f"#{element.get('id')}": element for element in defs if element.get("transform") == _LETTER}
    for mark in marks:
        text = mark.element
        scale = _SCALE.fullmatch(text.get("transform", ""))
        found = [_TRANSLATE.fullmatch(letter.get("transform", "translate(0 0)")) for letter in text]
        places = [place[1].split() for place in found if place]
        names = [letter.get(_HREF, "") for letter in text]
        if not scale or len(places) < len(names) or not letters.keys() >= {*names}:
            continue
        d = ""
        for name, place in zip(names, places, strict=True):
            d += _moved(letters[name].get("d", ""), [float(number) for number in place])
        size = float(scale[2]) / _UNITS_KEPT
        mark.element = Element(_PATH, {"d": d, "transform": f"{scale[1]}scale({size:.6g} {-size:.6g})"})


def _moved(d: str, by: list[float]) -> str:
    """A letter's path, moved by a text's units."""
    numbers = count()

    def moved(match: re.Match) -> str:
        return f"{_UNITS_KEPT * (float(match[0]) / _LETTER_UNITS + by[next(numbers) % 2]):.0f}"

    return _NUMBER.sub(moved, d)


def _share_paths(marks: list[_Mark], defs: Element) -> None:
    """Write a path that is drawn several times, such as a text and its edge, once."""
    drawn = Counter(mark.element.get("d") for mark in marks if mark.element.tag == _PATH)
    names: dict[str, str] = {}
    for mark in marks:
        d = mark.element.get("d", "")
        if mark.element.tag == _PATH and drawn[d] > 1 and len(d) > 60:
            if d not in names:
                names[d] = f"shared{len(names)}"
                defs.append(Element(_PATH, {"id": names[d], "d": d}))
            moved = {"transform": mark.element.attrib["transform"]} if "transform" in mark.element.attrib else {}
            mark.element = Element(_USE, {_HREF: f"#{names[d]}"} | moved)


def _grouped(marks: list[_Mark]) -> list[Element]:
    """Elements that draw the marks, with a group around those that follow each other and share something."""
    found = []
    for clip, clipped in groupby(marks, lambda mark: mark.clip):
        inside = []
        run = list(clipped)
        shared = _shared(run) if clip else {}
        for style, same in groupby(run, lambda mark: mark.style):
            elements = [mark.element for mark in same]
            inside += _with_style(elements, {name: value for name, value in style.items() if name not in shared})
        if clip is None:
            found += inside
            continue
        # What clips an element lies in its own coordinates, so one that is moved has a group around it.
        one = len(inside) == 1 and not inside[0].get("transform")
        around = inside[0] if one else _group(Element(_G), inside)
        around.set("clip-path", clip)
        _set_style(around, {**shared, **_style(around)})
        found.append(around)
    return found


def _shared(marks: list[_Mark]) -> Style:
    first, *others = (mark.style for mark in marks)
    return {
        name: value
        for name, value in first.items()
        if name != "opacity" and all(other.get(name) == value for other in others)
    }


def _with_style(elements: list[Element], style: Style) -> list[Element]:
    # The opacity of a group is not that of each of its marks.
    if len(elements) == 1 or not style or "opacity" in style:
        for element in elements:
            _set_style(element, style)
        return elements
    for element in elements:
        element.attrib.pop("style", None)
    group = _group(Element(_G), elements)
    _set_style(group, style)
    return [group]


def _style(element: Element) -> Style:
    return _properties(element.get("style", ""))


def _properties(text: str) -> Style:
    return {
        name.strip(): value.strip() for name, value in (part.split(":") for part in text.split(";") if part.strip())
    }


def _set_style(element: Element, style: Style) -> None:
    element.attrib.pop("style", None)
    if style:
        element.set("style", ";".join(f"{name}:{value}" for name, value in style.items()))


def _round(element: Element) -> None:
    if d := element.get("d"):
        element.set("d", _path(d))
    for name in _LENGTHS:
        if _NUMBER.fullmatch(length := element.get(name, "")):
            element.set(name, _short(length))
    if moved := element.get("transform"):
        moved = _TRANSLATE.sub(lambda match: f"translate({_NUMBER.sub(_shorter, match[1])})", moved)
        only = _TRANSLATE.fullmatch(moved)
        if only and element.tag == _USE and not element.get("x"):
            del element.attrib["transform"]
            for name, value in zip("xy", only[1].split(), strict=False):
                if value != "0":
                    element.set(name, value)
        else:
            element.set("transform", moved)


def _path(d: str) -> str:
    """A path's data, each point after the first by how far it is from the last one; rounding does not add up."""
    if set(re.findall("[A-Za-z]", d)) - set("MLQCz"):
        return d
    text, last, at, start = "", "", [0, 0], [0, 0]
    for command, numbers in _COMMAND.findall(d):
        values = [round(float(number) * _UNITS) for number in numbers.split()]
        steps = [value - at[i % 2] for i, value in enumerate(values)]
        now = command.lower()
        if command == "M":
            now, steps, start = "M", values, values
        elif command == "L" and 0 in steps:
            now, steps = ("h", steps[:1]) if steps[1] == 0 else ("v", steps[1:])
        at = values[-2:] or start
        for i, step in enumerate(steps or [None]):
            number = "" if step is None else _written(step)
            # A command that is repeated is not written again, and a minus parts numbers as a space does.
            before = now if i == 0 and (now != last or command in "Mz") else "" if number.startswith("-") else " "
            text += before + number
        last = now
    return text


def _short(number: str) -> str:
    return _written(round(float(number) * _UNITS))


def _shorter(match: re.Match) -> str:
    return _short(match[0])


def _written(hundredths: int) -> str:
    """A number of hundredths as short as it can be written: -.5, 12, 3.14."""
    text = f"{hundredths / _UNITS:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _rename(root: Element) -> None:
    """Keep the names that something refers to, as short as can be."""
    referred: set[str] = set()
    for element in root.iter():
        referred.update(_TARGET.findall(" ".join(element.attrib.values())))
        referred.add(element.get(_HREF, "")[1:])
    numbers = count()
    names = {element.get("id"): _name(next(numbers)) for element in root.iter() if element.get("id") in referred - {""}}
    for parent in root.iter(_DEFS):
        for element in [element for element in parent if element.get("id") not in names and element.tag == _PATH]:
            parent.remove(element)
    for element in root.iter():
        for key, value in list(element.items()):
            if key == "id" and value in names:
                element.set(key, names[value])
            elif key == "id":
                del element.attrib[key]
            elif key == _HREF and value.startswith("#"):
                element.set(key, f"#{names[value[1:]]}")
            elif "url(#" in value:
                element.set(key, _TARGET.sub(lambda match: f"url(#{names[match[1]]})", value))


def _name(number: int) -> str:
    """a to Z, then aa, ba, and so on."""
    rest, letter = divmod(number, len(ascii_letters))
    return ascii_letters[letter] + (_name(rest - 1) if rest else "")


def _text(root: Element) -> str:
    for element in root.iter():
        if element.tag != _DESCRIPTION:
            element.text = None
        element.tail = None
    for prefix, uri in _PREFIXES.items():
        ElementTree.register_namespace(prefix, uri)
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")

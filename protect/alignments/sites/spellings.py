"""Words that are spelt in two ways. In one caption they must be spelt alike, so a site turns all of them."""

from __future__ import annotations

_AMERICAN = """
color colour; colors colours; colored coloured; colorful colourful; coloring colouring; multicolored multicoloured; gray grey; grays greys; grayish greyish;
center centre; centers centres; centered centred; favorite favourite; favorites favourites; flavor flavour; flavors flavours; flavored flavoured; harbor harbour;
harbors harbours; neighbor neighbour; neighbors neighbours; neighborhood neighbourhood; neighborhoods neighbourhoods; theater theatre; theaters theatres;
jewelry jewellery; donut doughnut; donuts doughnuts; mustache moustache; mustaches moustaches; pajamas pyjamas; plow plough; plows ploughs; plowed ploughed;
traveling travelling; traveler traveller; travelers travellers; traveled travelled; airplane aeroplane; airplanes aeroplanes; cozy cosy; aluminum aluminium;
omelet omelette; omelets omelettes; pedaling pedalling; yogurt yoghurt; licorice liquorice; fiber fibre; fibers fibres; marvelous marvellous; woolen woollen;
mold mould; moldy mouldy; armor armour; armored armoured; vapor vapour; parlor parlour; savory savoury; labor labour; honor honour; humor humour;
organized organised; recognized recognised; catalog catalogue; dialog dialogue; ax axe; skeptical sceptical; checkered chequered; mom mum; moms mums;
saber sabre; scepter sceptre; specter spectre; somber sombre; luster lustre; caliber calibre; maneuver manoeuvre; sulfur sulphur; molding moulding; artifact artefact;
artifacts artefacts; carburetor carburettor; snowplow snowplough; watercolor watercolour; watercolors watercolours; counselor counsellor; leveled levelled;
modeling modelling; signaling signalling; smolder smoulder; smoldering smouldering; leukemia leukaemia; pediatric paediatric; archeology archaeology; clangor clangour
"""
AMERICAN_BRITISH: dict[str, str] = {a: b for a, b in (pair.split() for pair in _AMERICAN.split(";"))}

_RACKETS = "racket racquet; rackets racquets"
RACKETS: dict[str, str] = {a: b for a, b in (pair.split() for pair in _RACKETS.split(";"))}

_OPEN = (
    "counter top, fire truck, coffee maker, hot dog, motor home, race track, race horse, flower pot, street light, lamp post, paint brush, "
    "place mat, wet suit, dog house, tree house, bird house, fish bowl, beach front, water front, tow truck, cell phone, hair cut, snow suit"
)
_SINGLE = {
    word: word.replace(" ", "")
    for word in _OPEN.split(", ")
    if word not in {"tow truck", "hair cut", "snow suit", "water front"}
}
OPEN_CLOSED: dict[str, str] = _SINGLE | {f"{a}s": f"{b}s" for a, b in _SINGLE.items()}
"""Compounds that dictionaries hold written apart and written together."""

HYPHENATED: dict[str, str] = {
    word: word.replace("-", " ")
    for word in (
        "black-and-white double-decker stainless-steel flat-screen open-air high-rise half-eaten old-fashioned two-story "
        "long-haired short-haired remote-control hard-boiled deep-fried full-size life-size"
    ).split()
}
"""Compounds before a noun with hyphens and without."""

CONTRACTED: dict[str, str] = {
    "it's": "it is", "there's": "there is", "he's": "he is", "she's": "she is",
}  # fmt: off
RELATIVE: dict[str, str] = {"that's": "that is", "who's": "who is"}
NEGATED: dict[str, str] = {
    "isn't": "is not", "aren't": "are not", "doesn't": "does not", "don't": "do not", "can't": "cannot",
    "didn't": "did not", "wasn't": "was not", "weren't": "were not", "won't": "will not", "couldn't": "could not",
}  # fmt: off
PRONOUNS: dict[str, str] = {"someone": "somebody", "everyone": "everybody", "anyone": "anybody"}

"""Words that are written in two ways."""

from __future__ import annotations

_BRITISH = (
    "color:colour colors:colours colored:coloured colorful:colourful coloring:colouring multicolored:multicoloured "
    "gray:grey grays:greys grayish:greyish center:centre centers:centres centered:centred favorite:favourite "
    "favorites:favourites flavor:flavour flavors:flavours flavored:flavoured harbor:harbour harbors:harbours "
    "neighbor:neighbour neighbors:neighbours neighborhood:neighbourhood neighborhoods:neighbourhoods theater:theatre "
    "theaters:theatres jewelry:jewellery donut:doughnut donuts:doughnuts mustache:moustache mustaches:moustaches "
    "pajamas:pyjamas plow:plough plows:ploughs plowed:ploughed traveling:travelling traveler:traveller "
    "travelers:travellers traveled:travelled airplane:aeroplane airplanes:aeroplanes cozy:cosy aluminum:aluminium "
    "omelet:omelette omelets:omelettes pedaling:pedalling yogurt:yoghurt licorice:liquorice fiber:fibre fibers:fibres "
    "marvelous:marvellous woolen:woollen mold:mould moldy:mouldy armor:armour armored:armoured vapor:vapour "
    "savory:savoury catalog:catalogue ax:axe checkered:chequered mom:mum moms:mums saber:sabre scepter:sceptre "
    "molding:moulding artifact:artefact artifacts:artefacts snowplow:snowplough watercolor:watercolour "
    "watercolors:watercolours leveled:levelled modeling:modelling smoldering:smouldering sulfur:sulphur"
)
AMERICAN_BRITISH: dict[str, str] = dict(pair.split(":") for pair in _BRITISH.split())
"""American and British spellings. Within one caption they must agree, so a site turns all of them."""
RACKETS = {"racket": "racquet", "rackets": "racquets"}

_OPEN = (
    "counter top, fire truck, coffee maker, hot dog, motor home, race track, race horse, flower pot, street light, "
    "lamp post, paint brush, place mat, wet suit, dog house, tree house, bird house, fish bowl, cell phone"
)
_SINGLE = {word: word.replace(" ", "") for word in _OPEN.split(", ")}
OPEN_CLOSED = _SINGLE | {f"{first}s": f"{second}s" for first, second in _SINGLE.items()}
"""Compounds that dictionaries hold written apart and written together."""
_HYPHENS = (
    "black-and-white double-decker stainless-steel flat-screen open-air high-rise half-eaten old-fashioned two-story "
    "long-haired short-haired remote-control hard-boiled deep-fried full-size life-size"
)
HYPHENATED = {word: word.replace("-", " ") for word in _HYPHENS.split()}
"""Compounds before a noun with hyphens and without."""

CONTRACTED = {"it's": "it is", "there's": "there is", "he's": "he is", "she's": "she is"}
RELATIVE = {"that's": "that is", "who's": "who is"}
NEGATED = {
    "isn't": "is not",
    "aren't": "are not",
    "doesn't": "does not",
    "don't": "do not",
    "can't": "cannot",
    "didn't": "did not",
    "wasn't": "was not",
    "weren't": "were not",
    "won't": "will not",
    "couldn't": "could not",
}
PRONOUNS = {"someone": "somebody", "everyone": "everybody", "anyone": "anybody"}

"""English words whose grammar is known for sure: sites act on nothing that they would have to guess."""

from __future__ import annotations


def words_of(text: str) -> frozenset[str]:
    """The words of a text, between spaces."""
    return frozenset(text.split())


ARTICLES = words_of("a an the")
PERSONS = words_of(
    "man woman boy girl person child baby toddler kid lady gentleman guy player skier snowboarder surfer "
    "skateboarder cyclist biker rider jockey chef cook waiter waitress farmer teacher student doctor nurse officer "
    "policeman fireman firefighter soldier bride groom couple family crowd group team pitcher batter catcher umpire "
    "swimmer runner dancer singer musician photographer tourist vendor worker driver pilot father mother brother "
    "sister grandmother grandfather girlfriend boyfriend wizard princess prince king queen elf fairy vampire zombie "
    "ninja mermaid superhero judge detective mechanic scientist astronaut artist clown teenager infant merman genie "
    "mage troll pedestrian customer shopper passenger performer conductor carpenter plumber electrician painter "
    "writer reporter politician guard sailor diver climber hiker golfer wrestler boxer gymnast athlete fisherman "
    "cowboy bicyclist motorcyclist skater employee lawyer dentist librarian shopkeeper bartender barber hairdresser "
    "tailor builder"
)
ANIMALS = words_of(
    "dog cat bird horse cow elephant zebra giraffe bear lion tiger monkey rabbit goat pig duck goose chicken "
    "rooster hen turkey parrot owl eagle swan penguin seagull pigeon squirrel mouse rat kitten puppy lamb bull calf "
    "fox wolf camel kangaroo koala panda shark whale dolphin turtle frog snake lizard crocodile octopus crab "
    "lobster butterfly bee spider snail ant badger otter sloth skunk peacock flamingo hedgehog bat donkey llama "
    "hippopotamus rhinoceros gorilla orangutan leopard raccoon beaver dodo cricket beetle ladybug caterpillar worm "
    "scorpion mosquito seal dragon unicorn hamster gecko iguana toad seahorse oyster clam ostrich vulture hawk "
    "falcon raven crow sparrow woodpecker hummingbird pelican stork heron crane moth dragonfly grasshopper "
    "cockroach mole hare ram ox antelope gazelle walrus weasel mongoose ferret chipmunk porcupine poodle pony mule "
    "lynx jaguar panther cheetah hyena baboon chimpanzee lemur alligator tortoise crayfish"
)
THINGS = words_of(
    "car bus truck train bike bicycle motorcycle motorbike boat ship plane airplane helicopter van taxi tram "
    "scooter skateboard surfboard snowboard kite umbrella bench chair table desk bed couch sofa toilet sink bathtub "
    "shower mirror lamp clock vase bowl cup plate fork knife spoon bottle pot pan oven stove refrigerator fridge "
    "microwave toaster television laptop computer keyboard phone cellphone camera book backpack suitcase bag "
    "handbag purse hat helmet shirt tie jacket coat dress suit uniform shoe boot glove scarf ring necklace banana "
    "apple lemon pineapple strawberry pear peach cherry tomato potato carrot cucumber pepper mushroom sandwich "
    "hamburger hotdog pizza donut doughnut cake pie cookie cupcake pancake waffle sign fence bridge building house "
    "tower church castle barn street road sidewalk field beach mountain hill lake river forest tree flower plant "
    "leaf bush garden park room kitchen bathroom bedroom office store shop restaurant market station airport zoo "
    "farm ball racket frisbee balloon toy doll box basket bucket ladder door window wall floor roof flag statue "
    "fountain hydrant meter drawer counter cabinet shelf pillow blanket towel rug curtain candle guitar piano "
    "violin drum trumpet hammer wrench screwdriver key lock lightbulb battery magnet telescope microscope face hand "
    "foot ear eye nose mouth heart star moon rainbow snowflake rocket anchor crown trophy medal bomb dagger sword "
    "shield envelope package scroll calendar pencil pen crayon paperclip pin globe compass map tent volcano island "
    "desert snowman cloud button arrow fan gem trident wheel wagon cart tractor canoe sailboat ferry scene pile "
    "bunch row pair set bouquet avocado coconut mango kiwi melon watermelon eggplant onion pumpkin radish croissant "
    "bagel pretzel burrito taco dumpling omelet steak muffin brownie biscuit cracker teapot kettle jug mug barrel "
    "jar tray stool armchair wardrobe dresser nightstand bookshelf chandelier lantern flashlight torch radio "
    "speaker microphone printer monitor screen tablet joystick robot projector typewriter stapler ruler folder "
    "notebook newspaper magazine card stamp ticket poster hammock swing slide carousel bulldozer ambulance "
    "limousine jeep minivan trolley locomotive subway monorail kayak yacht raft submarine parachute blimp drone "
    "satellite turban cap wig necktie belt buckle sock sandal slipper sneaker heel skirt sweater vest jersey apron "
    "cape bikini swimsuit kimono handkerchief bracelet earring pendant brooch ladle spatula whisk grater chopstick "
    "napkin tablecloth faucet toothbrush hairbrush comb razor sponge broom mop vacuum plunger toolbox axe pickaxe "
    "shovel rake hoe screw nail bolt chain rope hook gear lever pump pipe hose harp flute saxophone accordion banjo "
    "cello trombone tambourine xylophone paddle puck dart bow sled ski snowball trampoline dumbbell hotel hospital "
    "school library museum stadium theater factory warehouse garage cottage cabin palace temple mosque "
    "synagogue shrine lighthouse windmill skyscraper tunnel pier dock dam gate porch balcony staircase hallway "
    "corridor closet attic basement courtyard crosswalk intersection highway freeway railway canal pond waterfall "
    "valley canyon cliff cave glacier geyser dune swamp meadow orchard vineyard farmhouse greenhouse playground "
    "cemetery plaza mall bakery cafe pharmacy bank wheelchair stroller crib cradle puppet puzzle domino ribbon gift "
    "banner firework crystal diamond coin wallet briefcase chest clipboard thermometer syringe pill bandage "
    "stethoscope cane crutch bulb plug socket antenna sundial hourglass stopwatch barometer spotlight thermostat"
)
SINGULAR = PERSONS | ANIMALS | THINGS
"""Nouns that can be counted, in the singular."""
IRREGULAR = words_of(
    "men women children people sheep fish deer geese mice wolves leaves knives shelves feet teeth policemen firemen "
    "babies ladies puppies cities berries cherries strawberries pastries scarves calves loaves "
    "tomatoes potatoes volcanoes mosquitoes mangoes oxen families parties"
)
_IRREGULAR_ENDINGS = (
    "man",
    "y",
    "f",
    "goose",
    "mouse",
    "child",
    "foot",
    "knife",
    "leaf",
    "tooth",
    "ox",
    "wolf",
    "ato",
    "cano",
    "quito",
    "mango",
    "shelf",
)
PLURAL = IRREGULAR | {
    word + ("es" if word.endswith(("s", "sh", "ch", "x")) else "s")
    for word in SINGULAR
    if not word.endswith(_IRREGULAR_ENDINGS)
}
"""The same nouns in the plural."""
NOUNS = SINGULAR | PLURAL
MASSES = words_of(
    "chicken turkey duck lamb crab lobster goose rabbit oyster clam pizza cake pie melon watermelon pumpkin onion "
    "potato tomato cucumber pepper carrot coconut avocado lemon apple banana pineapple mango steak radio "
    "television rope chain ribbon diamond crystal school hospital church market office bed omelet kiwi eggplant "
    "radish chest cloud moon desert island hose pipe salmon stool court fan sponge"
)
"""Nouns that mean something else without an article."""
COLOURS = words_of(
    "red blue green yellow black white brown grey gray orange pink purple silver gold beige tan golden blond blonde "
    "dark light"
)
ADJECTIVES = COLOURS | words_of(
    "small large big little tall short young old elderly new huge tiny giant long wide narrow round square wooden "
    "metal plastic brick stone concrete dirt empty full open closed beautiful pretty cute nice lovely happy sad "
    "smiling colorful colourful bright shiny clean dirty wet dry snowy sunny cloudy grassy sandy rocky busy crowded "
    "quiet modern antique vintage fluffy furry hairy fat thin skinny bald barefoot shirtless male female adult "
    "teenage wild stuffed striped spotted plaid leather glass fresh hot cold cooked baked fried grilled sliced "
    "chopped delicious tasty fancy simple plain professional single lone oncoming beverage wooded paved dark-haired "
    "tiled cluttered rustic ornate decorative colored coloured older younger taller smaller larger bigger newborn "
    "homeless pink potted parked framed outdoor indoor public commercial residential industrial urban rural "
    "tropical lush leafy bare rusty broken old-fashioned curly wavy straight long-haired heavy light soft hard "
    "sharp blunt smooth rough deep shallow high low fast slow early late"
)
UNIQUE = words_of(
    "first second third fourth fifth last next only same other best worst most least main very whole entire left "
    "right top bottom front back upper lower middle inner outer final own sole"
)
"""With these "the" is not "a"."""
NUMBERS = words_of("two three four five six seven eight nine ten eleven twelve")
PREPOSITIONS = words_of(
    "of in on at with by from near next behind beside under underneath beneath below above over across along "
    "through around inside outside into onto toward towards atop against among amongst amid between beyond during "
    "without for to off up down while as"
)
RELATIVES = words_of("that who which whose where")
PICTURES = words_of(
    "photo photograph picture image emoji icon drawing illustration painting portrait sketch cartoon watercolor "
    "watercolour close-up closeup snapshot screenshot poster sticker engraving collage caricature depiction "
    "rendering"
)
"""What a caption may call the picture itself."""
_VERBS = (
    "standing:stand walking:walk holding:hold eating:eat playing:play looking:look flying:fly jumping:jump "
    "wearing:wear talking:talk cooking:cook resting:rest drinking:drink reading:read sleeping:sleep pulling:pull "
    "pushing:push kicking:kick throwing:throw carrying:carry leaning:lean working:work waiting:wait swinging:swing "
    "brushing:brush crossing:cross watching:watch surfing:surf skiing:ski hanging:hang performing:perform "
    "traveling:travel enjoying:enjoy climbing:climb licking:lick chewing:chew feeding:feed touching:touch "
    "pointing:point hitting:hit catching:catch rolling:roll sailing:sail floating:float sitting:sit riding:ride "
    "running:run lying:lie smiling:smile posing:pose skateboarding:skateboard swimming:swim cutting:cut "
    "driving:drive taking:take making:make preparing:prepare grazing:graze using:use getting:get putting:put "
    "trying:try waving:wave skating:skate slicing:slice dancing:dance facing:face staring:stare having:have "
    "biking:bike rowing:row bouncing:bounce juggling:juggle kneeling:kneel petting:pet herding:herd laying:lay "
    "chasing:chase splashing:splash digging:dig sniffing:sniff barking:bark hugging:hug kissing:kiss laughing:laugh "
    "crying:cry singing:sing pouring:pour stirring:stir mixing:mix baking:bake washing:wash cleaning:clean "
    "sweeping:sweep writing:write typing:type listening:listen leading:lead guiding:guide loading:load bending:bend "
    "stretching:stretch crouching:crouch squatting:squat hiking:hike paddling:paddle steering:steer flipping:flip "
    "sliding:slide snowboarding:snowboard passing:pass approaching:approach travelling:travel heading:head "
    "coming:come going:go leaving:leave entering:enter moving:move blowing:blow opening:open closing:close "
    "lifting:lift balancing:balance displaying:display showing:show featuring:feature containing:contain "
    "including:include covering:cover surrounding:surround overlooking:overlook towering:tower perching:perch "
    "nursing:nurse raising:raise gesturing:gesture shrugging:shrug bowing:bow frowning:frown pouting:pout "
    "tipping:tip cartwheeling:cartwheel levitating:levitate wrestling:wrestle golfing:golf "
)
PARTICIPLES = dict(pair.split(":") for pair in _VERBS.split())
"""Participles and the verbs that they are made of."""
PASTS = words_of(
    "dressed seated parked covered filled surrounded made taken decorated painted topped placed stacked lined tied "
    "attached piled set mounted located perched hung loaded shown built designed carved wrapped stuffed served cut "
    "sliced broken used displayed arranged stored held worn driven pulled ridden gathered crowded known called "
    "owned prepared cooked baked grilled drawn written printed framed connected equipped furnished packed"
)
"""Participles of the past with which a phrase can go on behind its noun."""
FINITE = words_of(
    "is are was were am be been has have had does do did can will would could should may might must isn't aren't "
    "it's there's he's she's that's they're sits stands rides walks holds eats plays looks flies jumps wears talks "
    "cooks rests drinks reads sleeps pulls pushes kicks throws carries leans works waits swings brushes crosses "
    "watches paints surfs skis hangs performs travels enjoys climbs licks chews feeds touches points hits catches "
    "rolls sails floats runs lies smiles poses swims cuts drives takes makes prepares grazes uses gets puts tries "
    "waves skates slices dances faces stares goes comes shows displays features contains includes gives lays stops "
    "moves hovers gathers passes leads serves sat stood rode held ate ran flew went took gave came fell lay laid "
    "got threw caught sees saw see fills covers sticks grows shares i you we they he she it prepare stand sit ride "
    "walk hold eat play look fly jump wear talk enjoy pose wait gather appears seems wants needs begins lets keeps "
    "barks laughs cries sings pours stirs mixes bakes washes cleans writes draws types listens hikes slides blows "
    "opens closes lifts raises overlooks approaches enters leaves heads chases digs bends hugs kisses hit"
)
"""Words that make a clause of a phrase, or might."""
OPENERS = (
    ARTICLES | NUMBERS | PICTURES | PREPOSITIONS | words_of("this these that those some several many one it there")
)
"""No part of a name even if a capital follows them."""
COMMON = OPENERS | NOUNS | ADJECTIVES | COLOURS
"""Words that have no capital of their own."""
COMPOUNDS = words_of(
    "close-up close-ups t-shirt t-shirts black-and-white double-decker stainless-steel flat-screen open-air high-rise "
    "half-eaten old-fashioned two-story ice-cream well-lit long-haired short-haired remote-control hard-boiled "
    "deep-fried wide-open full-size life-size mid-air freshly-baked"
)
"""Words with hyphens that a site may act on."""

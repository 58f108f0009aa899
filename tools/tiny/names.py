"""The things vlmd-tiny can name: colours, shapes, emoji and words, and how English speaks of them.

Nothing here draws or asks; render.py draws, wordings.py asks. Emoji are listed by Unicode character name, under the
short everyday name that the model answers with; several characters may share one name.
"""

import unicodedata

# Each colour is a list of regions (hue degrees, saturation, value), all inclusive. Regions keep clear of each other, so
# that every drawn colour is one that people name alike; the CSS keywords of the same names lie inside.
COLORS = {
    "red": [((-12, 8), (0.75, 1.0), (0.80, 1.0))],
    "orange": [((22, 39), (0.78, 1.0), (0.90, 1.0))],
    "yellow": [((50, 62), (0.65, 1.0), (0.90, 1.0))],
    "green": [((92, 150), (0.55, 1.0), (0.38, 1.0))],
    "cyan": [((174, 188), (0.55, 1.0), (0.85, 1.0))],
    "blue": [((208, 242), (0.62, 1.0), (0.50, 1.0))],
    "purple": [((266, 300), (0.50, 1.0), (0.42, 0.85))],
    "pink": [((322, 354), (0.22, 0.45), (0.92, 1.0)), ((318, 338), (0.45, 0.85), (0.92, 1.0))],
    "brown": [((-2, 28), (0.55, 0.90), (0.32, 0.64))],
    "black": [((0, 360), (0.0, 1.0), (0.0, 0.10))],
    "white": [((0, 360), (0.0, 0.03), (0.96, 1.0))],
    "gray": [((0, 360), (0.0, 0.06), (0.38, 0.70))],
}

SHAPES = ["circle", "square", "rectangle", "triangle", "star", "heart", "diamond", "oval", "pentagon", "hexagon",
          "cross", "ring", "crescent", "arrow"]

NUMBERS = "zero one two three four five six seven eight nine ten".split()
ORDINALS = "first second third fourth fifth sixth seventh eighth".split()

WORDS = """hello world open stop exit cat dog sale free push pull taxi hotel cafe book test yes no go up down left right
milk tea bus park bank star moon sun red blue green road city north south east west game over start model image pixel
apple bread water fire king queen music video radio light night house train plane welcome school coffee pizza danger
caution happy birthday love peace home shop store market closed enter wait slow fast hot cold new old big small day
week year time money price menu lunch dinner fish meat rice soup salad fruit juice wine beer cake sugar salt gold
silver iron stone wood glass paper pencil table chair door window garden flower tree river lake ocean beach island
mountain forest bridge street station airport ticket number letter word name phone email server client linux python
engine debian kernel memory token tensor vision native tiny hi thanks please""".split()

# answer name: Unicode names of the characters that show it
EMOJI_TABLE = """
dog: DOG FACE, DOG
cat: CAT FACE, CAT
mouse: MOUSE FACE, MOUSE
rabbit: RABBIT FACE, RABBIT
hamster: HAMSTER FACE
fox: FOX FACE
bear: BEAR FACE
panda: PANDA FACE
koala: KOALA
tiger: TIGER FACE, TIGER
lion: LION FACE
cow: COW FACE, COW
pig: PIG FACE, PIG
frog: FROG FACE
monkey: MONKEY FACE, MONKEY
gorilla: GORILLA
orangutan: ORANGUTAN
wolf: WOLF FACE
raccoon: RACCOON
horse: HORSE FACE, HORSE
unicorn: UNICORN FACE
zebra: ZEBRA FACE
deer: DEER
goat: GOAT
sheep: SHEEP
camel: DROMEDARY CAMEL
llama: LLAMA
giraffe: GIRAFFE FACE
elephant: ELEPHANT
rhinoceros: RHINOCEROS
hippopotamus: HIPPOPOTAMUS
hedgehog: HEDGEHOG
bat: BAT
kangaroo: KANGAROO
skunk: SKUNK
sloth: SLOTH
turkey: TURKEY
chicken: CHICKEN
rooster: ROOSTER
chick: HATCHING CHICK, FRONT-FACING BABY CHICK
penguin: PENGUIN
eagle: EAGLE
duck: DUCK
swan: SWAN
owl: OWL
flamingo: FLAMINGO
peacock: PEACOCK
parrot: PARROT
dodo: DODO
crocodile: CROCODILE
turtle: TURTLE
lizard: LIZARD
snake: SNAKE
dragon: DRAGON FACE
dinosaur: SAUROPOD
whale: SPOUTING WHALE
dolphin: DOLPHIN
seal: SEAL
fish: FISH
tropical fish: TROPICAL FISH
pufferfish: BLOWFISH
shark: SHARK
octopus: OCTOPUS
shell: SPIRAL SHELL
snail: SNAIL
butterfly: BUTTERFLY
caterpillar: BUG
ant: ANT
bee: HONEYBEE
beetle: BEETLE
ladybug: LADY BEETLE
cricket: CRICKET
cockroach: COCKROACH
spider: SPIDER
spider web: SPIDER WEB
scorpion: SCORPION
mosquito: MOSQUITO
fly: FLY
crab: CRAB
lobster: LOBSTER
shrimp: SHRIMP
squid: SQUID
oyster: OYSTER
paw prints: PAW PRINTS
rose: ROSE
hibiscus: HIBISCUS
sunflower: SUNFLOWER
daisy: BLOSSOM
tulip: TULIP
cherry blossom: CHERRY BLOSSOM
seedling: SEEDLING
potted plant: POTTED PLANT
evergreen tree: EVERGREEN TREE
tree: DECIDUOUS TREE
palm tree: PALM TREE
cactus: CACTUS
four leaf clover: FOUR LEAF CLOVER
maple leaf: MAPLE LEAF
mushroom: MUSHROOM
grapes: GRAPES
melon: MELON
watermelon: WATERMELON
tangerine: TANGERINE
lemon: LEMON
banana: BANANA
pineapple: PINEAPPLE
mango: MANGO
apple: RED APPLE
green apple: GREEN APPLE
pear: PEAR
peach: PEACH
cherries: CHERRIES
strawberry: STRAWBERRY
blueberries: BLUEBERRIES
kiwi: KIWIFRUIT
tomato: TOMATO
coconut: COCONUT
avocado: AVOCADO
eggplant: AUBERGINE
potato: POTATO
carrot: CARROT
corn: EAR OF MAIZE
chili pepper: HOT PEPPER
bell pepper: BELL PEPPER
cucumber: CUCUMBER
broccoli: BROCCOLI
garlic: GARLIC
onion: ONION
peanuts: PEANUTS
bread: BREAD
croissant: CROISSANT
baguette: BAGUETTE BREAD
pretzel: PRETZEL
bagel: BAGEL
pancakes: PANCAKES
waffle: WAFFLE
cheese: CHEESE WEDGE
chicken leg: POULTRY LEG
bacon: BACON
burger: HAMBURGER
french fries: FRENCH FRIES
pizza: SLICE OF PIZZA
hot dog: HOT DOG
sandwich: SANDWICH
taco: TACO
burrito: BURRITO
egg: EGG
fried egg: COOKING
salad: GREEN SALAD
popcorn: POPCORN
butter: BUTTER
sushi: SUSHI
ice cream: SOFT ICE CREAM
donut: DOUGHNUT
cookie: COOKIE
birthday cake: BIRTHDAY CAKE
cake: SHORTCAKE
cupcake: CUPCAKE
pie: PIE
chocolate bar: CHOCOLATE BAR
candy: CANDY
lollipop: LOLLIPOP
honey pot: HONEY POT
baby bottle: BABY BOTTLE
glass of milk: GLASS OF MILK
cup of coffee: HOT BEVERAGE
teapot: TEAPOT
bottle of champagne: BOTTLE WITH POPPING CORK
wine glass: WINE GLASS
cocktail glass: COCKTAIL GLASS
tropical drink: TROPICAL DRINK
mug of beer: BEER MUG
ice cube: ICE CUBE
chopsticks: CHOPSTICKS
fork and knife: FORK AND KNIFE
spoon: SPOON
kitchen knife: HOCHO
amphora: AMPHORA
earth: EARTH GLOBE EUROPE-AFRICA, EARTH GLOBE AMERICAS
compass: COMPASS
mountain: SNOW CAPPED MOUNTAIN
volcano: VOLCANO
tent: TENT
house: HOUSE BUILDING
castle: EUROPEAN CASTLE
church: CHURCH
fountain: FOUNTAIN
ferris wheel: FERRIS WHEEL
roller coaster: ROLLER COASTER
barber pole: BARBER POLE
circus tent: CIRCUS TENT
steam locomotive: STEAM LOCOMOTIVE
bus: BUS
ambulance: AMBULANCE
fire truck: FIRE ENGINE
police car: POLICE CAR
taxi: TAXI
car: AUTOMOBILE
truck: DELIVERY TRUCK
tractor: TRACTOR
racing car: RACING CAR
motorcycle: RACING MOTORCYCLE
scooter: MOTOR SCOOTER
bicycle: BICYCLE
skateboard: SKATEBOARD
fuel pump: FUEL PUMP
traffic light: VERTICAL TRAFFIC LIGHT
stop sign: OCTAGONAL SIGN
anchor: ANCHOR
sailboat: SAILBOAT
canoe: CANOE
speedboat: SPEEDBOAT
ship: SHIP
airplane: AIRPLANE
parachute: PARACHUTE
helicopter: HELICOPTER
rocket: ROCKET
flying saucer: FLYING SAUCER
hourglass: HOURGLASS, HOURGLASS WITH FLOWING SAND
watch: WATCH
alarm clock: ALARM CLOCK
stopwatch: STOPWATCH
thermometer: THERMOMETER
sun: BLACK SUN WITH RAYS, SUN WITH FACE
cloud: CLOUD
rainbow: RAINBOW
umbrella: UMBRELLA, UMBRELLA WITH RAIN DROPS
lightning bolt: HIGH VOLTAGE SIGN
snowflake: SNOWFLAKE
snowman: SNOWMAN WITHOUT SNOW, SNOWMAN
comet: COMET
fire: FIRE
drop of water: DROPLET
wave: WATER WAVE
pumpkin: JACK-O-LANTERN
christmas tree: CHRISTMAS TREE
firecracker: FIRECRACKER
balloon: BALLOON
party popper: PARTY POPPER
ribbon: RIBBON
gift: WRAPPED PRESENT
trophy: TROPHY
gold medal: SPORTS MEDAL
soccer ball: SOCCER BALL
baseball: BASEBALL
basketball: BASKETBALL AND HOOP
volleyball: VOLLEYBALL
football: AMERICAN FOOTBALL
tennis ball: TENNIS RACQUET AND BALL
frisbee: FLYING DISC
bowling ball: BOWLING
ping pong paddle: TABLE TENNIS PADDLE AND BALL
badminton racket: BADMINTON RACQUET AND SHUTTLECOCK
boxing glove: BOXING GLOVE
golf flag: FLAG IN HOLE
ice skate: ICE SKATE
fishing pole: FISHING POLE AND FISH
diving mask: DIVING MASK
skis: SKI AND SKI BOOT
sled: SLED
dartboard: DIRECT HIT
yo-yo: YO-YO
kite: KITE
crystal ball: CRYSTAL BALL
magic wand: MAGIC WAND
game controller: VIDEO GAME
joystick: JOYSTICK
slot machine: SLOT MACHINE
die: GAME DIE
puzzle piece: JIGSAW PUZZLE PIECE
teddy bear: TEDDY BEAR
pinata: PINATA
palette: ARTIST PALETTE
spool of thread: SPOOL OF THREAD
ball of yarn: BALL OF YARN
glasses: EYEGLASSES
sunglasses: DARK SUNGLASSES
goggles: GOGGLES
necktie: NECKTIE
t-shirt: T-SHIRT
jeans: JEANS
scarf: SCARF
gloves: GLOVES
coat: COAT
socks: SOCKS
dress: DRESS
bikini: BIKINI
backpack: SCHOOL SATCHEL
handbag: HANDBAG
sneaker: ATHLETIC SHOE
hiking boot: HIKING BOOT
high-heeled shoe: HIGH-HEELED SHOE
crown: CROWN
top hat: TOP HAT
cap: BILLED CAP
graduation cap: GRADUATION CAP
lipstick: LIPSTICK
finger ring: RING
gem: GEM STONE
bell: BELL
microphone: MICROPHONE
headphones: HEADPHONE
radio: RADIO
saxophone: SAXOPHONE
accordion: ACCORDION
guitar: GUITAR
piano keys: MUSICAL KEYBOARD
trumpet: TRUMPET
violin: VIOLIN
banjo: BANJO
drum: DRUM WITH DRUMSTICKS
mobile phone: MOBILE PHONE
telephone: BLACK TELEPHONE
battery: BATTERY
electric plug: ELECTRIC PLUG
laptop: PERSONAL COMPUTER
abacus: ABACUS
floppy disk: FLOPPY DISK
television: TELEVISION
camera: CAMERA
magnifying glass: LEFT-POINTING MAGNIFYING GLASS
candle: CANDLE
light bulb: ELECTRIC LIGHT BULB
flashlight: ELECTRIC TORCH
red lantern: IZAKAYA LANTERN
stack of books: BOOKS
open book: OPEN BOOK
newspaper: NEWSPAPER
money bag: MONEY BAG
coin: COIN
credit card: CREDIT CARD
envelope: ENVELOPE
package: PACKAGE
mailbox: CLOSED MAILBOX WITH RAISED FLAG
pencil: PENCIL
paintbrush: LOWER LEFT PAINTBRUSH
crayon: LOWER LEFT CRAYON
briefcase: BRIEFCASE
pushpin: PUSHPIN
paperclip: PAPERCLIP
ruler: STRAIGHT RULER
scissors: BLACK SCISSORS
wastebasket: WASTEBASKET
padlock: LOCK
key: KEY
hammer: HAMMER
axe: AXE
pickaxe: PICK
dagger: DAGGER KNIFE
shield: SHIELD
saw: CARPENTRY SAW
wrench: WRENCH
screwdriver: SCREWDRIVER
nut and bolt: NUT AND BOLT
gear: GEAR
balance scale: SCALES
chain: CHAINS
hook: HOOK
toolbox: TOOLBOX
magnet: MAGNET
ladder: LADDER
test tube: TEST TUBE
dna: DNA DOUBLE HELIX
microscope: MICROSCOPE
telescope: TELESCOPE
satellite dish: SATELLITE ANTENNA
syringe: SYRINGE
pill: PILL
bandage: ADHESIVE BANDAGE
stethoscope: STETHOSCOPE
door: DOOR
mirror: MIRROR
bed: BED
couch: COUCH AND LAMP
chair: CHAIR
toilet: TOILET
shower: SHOWER
bathtub: BATHTUB
razor: RAZOR
safety pin: SAFETY PIN
broom: BROOM
basket: BASKET
roll of toilet paper: ROLL OF PAPER
bucket: BUCKET
bar of soap: BAR OF SOAP
toothbrush: TOOTHBRUSH
sponge: SPONGE
fire extinguisher: FIRE EXTINGUISHER
shopping cart: SHOPPING TROLLEY
coffin: COFFIN
moai: MOYAI
smiling face: SMILING FACE WITH SMILING EYES, SMILING FACE WITH OPEN MOUTH, GRINNING FACE
laughing face: FACE WITH TEARS OF JOY
winking face: WINKING FACE
face with heart eyes: SMILING FACE WITH HEART-SHAPED EYES
crying face: LOUDLY CRYING FACE
angry face: POUTING FACE
sleeping face: SLEEPING FACE
face with a mask: FACE WITH MEDICAL MASK
cowboy: FACE WITH COWBOY HAT
clown: CLOWN FACE
ghost: GHOST
alien: EXTRATERRESTRIAL ALIEN
robot: ROBOT FACE
skull: SKULL
poop: PILE OF POO
baby: BABY
thumbs up: THUMBS UP SIGN
thumbs down: THUMBS DOWN SIGN
bone: BONE
tooth: TOOTH
brain: BRAIN
eye: EYE
ear: EAR
nose: NOSE
foot: FOOT
"""


def emoji_table() -> dict[str, list[str]]:
    """Return {answer name: [characters]}, in the order of the table."""
    table = {}
    for line in EMOJI_TABLE.strip().splitlines():
        name, chars = line.split(":")
        table[name] = [unicodedata.lookup(c.strip()) for c in chars.split(",")]
    return table


EMOJI = emoji_table()
EMOJI_NAMES = list(EMOJI)
PLURAL_ONLY = {n for n in EMOJI_NAMES if n in (
    "grapes", "cherries", "blueberries", "peanuts", "pancakes", "french fries", "paw prints", "chopsticks", "glasses",
    "sunglasses", "goggles", "jeans", "gloves", "socks", "skis", "headphones", "piano keys", "scissors")}
UNCOUNTED = {"bread", "corn", "cheese", "bacon", "butter", "sushi", "salad", "popcorn", "fire", "dna", "poop",
             "thumbs up", "thumbs down", "fork and knife", "nut and bolt", "earth", "wave", "broccoli", "garlic"}
IRREGULAR = {"mouse": "mice", "deer": "deer", "sheep": "sheep", "fish": "fish", "tropical fish": "tropical fish",
             "pufferfish": "pufferfish", "shrimp": "shrimp", "squid": "squid", "wolf": "wolves", "die": "dice",
             "kitchen knife": "kitchen knives", "maple leaf": "maple leaves", "tooth": "teeth", "foot": "feet",
             "goose": "geese", "glass of milk": "glasses of milk", "cup of coffee": "cups of coffee",
             "bottle of champagne": "bottles of champagne", "mug of beer": "mugs of beer", "bar of soap": "bars of soap",
             "drop of water": "drops of water", "spool of thread": "spools of thread", "ball of yarn": "balls of yarn",
             "stack of books": "stacks of books", "roll of toilet paper": "rolls of toilet paper", "scarf": "scarves",
             "face with heart eyes": "faces with heart eyes", "face with a mask": "faces with a mask"}
COUNTABLE = [n for n in EMOJI_NAMES if n not in PLURAL_ONLY and n not in UNCOUNTED]


def with_article(name: str) -> str:
    """'dog' -> 'a dog', 'oval' -> 'an oval'; names that take no article stay as they are."""
    if name in PLURAL_ONLY or name in UNCOUNTED:
        return name
    vowel = (name[0] in "aeiou" and not name.startswith(("uni", "eu"))) or name.startswith("hour")
    return ("an " if vowel else "a ") + name


def plural(name: str) -> str:
    """The plural of a name; the last word is the one that changes."""
    if name in IRREGULAR:
        return IRREGULAR[name]
    if name in PLURAL_ONLY:
        return name
    if name.endswith(("s", "x", "ch", "sh", "z")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    if name.endswith(("mango", "potato", "tomato", "mosquito", "volcano")):
        return name + "es"
    return name + "s"


def join_names(names: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]

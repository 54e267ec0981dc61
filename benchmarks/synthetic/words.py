"""The words and sentence forms that synthetic texts are made of: our own, in several languages."""

from __future__ import annotations


def _listed(text: str, separator: str = " ") -> list[str]:
    return text.split(separator)


NOUNS = _listed(
    "lamp harbour ladder garden letter clock sister captain winter kettle window orchard bridge market "
    "engine teacher river violin basket station neighbour corridor mountain recipe painter blanket compass "
    "island village baker carriage mirror doctor notebook cellar fountain sailor shepherd library farmer "
    "telescope candle theatre tailor lantern meadow soldier gardener stairway bicycle courtyard photograph "
    "suitcase tower widow apprentice chimney wardrobe printer fisherman attic thunderstorm balcony "
    "envelope kitchen journalist piano passenger quarry raincoat secretary tunnel umbrella valley workshop "
    "archive barber cathedral drawing elevator festival greenhouse hallway inspector jacket keyhole "
    "laundry magician nursery office pharmacy quilt restaurant scholar typewriter uncle vineyard waiter "
    "yard zookeeper accountant bakery classroom diary easel ferry grocer hospital innkeeper judge kitten "
    "locksmith medal nurse oven plumber queue radio saddle ticket uniform visitor wagon beekeeper customs "
    "drummer expedition flagstone glacier hedgehog invoice juggler lighthouse miller newspaper observatory "
    "porter quartet reservoir surveyor translator"
)
ADJECTIVES = _listed(
    "old quiet narrow patient crooked distant gentle rusty careful empty foreign honest humble lonely "
    "modest nervous pale proud restless silver stubborn sudden tired uneven vacant warm weary wooden "
    "yellow ancient bitter calm damp eager faded generous hollow idle jealous kind lively muddy neat "
    "ordinary polite ragged salty tender unlikely velvet wild awkward brittle cheerful dusty elegant "
    "fragile grateful hurried invisible joyful knotted loyal mysterious noisy obvious peaceful quaint "
    "reluctant solemn thoughtful unfinished vivid wrinkled anxious borrowed cracked delicate"
)
VERBS = _listed(
    "carried followed remembered painted opened repaired counted promised forgot studied borrowed "
    "described guarded hid measured noticed polished questioned returned sheltered traded understood "
    "visited watched welcomed admired buried collected defended explained folded gathered helped imagined "
    "joined kept lifted mended named ordered planted refused searched taught used valued warned answered "
    "blamed chose drew expected found greeted heard invited judged knew led"
)
ADVERBS = _listed(
    "slowly often quietly again twice carefully gladly seldom suddenly together alone badly bravely early "
    "finally gently honestly kindly late nearly openly patiently quickly rarely safely tenderly warmly "
    "wisely almost already"
)
PLACES = _listed(
    "behind the mill|near the old station|under the stairs|on the northern road|at the edge of the town|"
    "in the next valley|above the bakery|beside the canal|across the square|inside the museum|"
    "along the coast|outside the school|between two gardens|beyond the hills|around the corner|"
    "by the river|over the bridge|within the city walls",
    "|",
)
TIMES = _listed(
    "before breakfast|after the long winter|on a Tuesday in March|when the rain had stopped|"
    "for the third time|at the end of the summer|during the night|since the war|until the bells rang|"
    "before anybody woke|in those years|a week later|on the first day of school|as soon as it was dark|"
    "that same evening|while the others slept",
    "|",
)
#: ``{n}`` noun, ``{a}`` adjective, ``{v}`` verb, ``{d}`` adverb, ``{p}`` place, ``{t}`` time, ``{N}`` name.
FORMS = (
    "{t} the {a} {n} and the {a} {n} {v} a {n} {p}.",
    "{N} {v} the {n} {d}, and nobody {v} the {a} {n} {p}.",
    "It was the {a} {n} that {N} {v} {t}, not the {n} of the {a} {n}.",
    "There was a {n} {p}, and {N} {d} {v} it.",
    "The {n} {v} what the {n} had {v}, but the {a} {n} was not to be {v} {t}.",
    "“You {v} my {n},” said {N}, “and that is why the {n} is so {a}.”",
    "{N} had {v} every {a} {n} {p}, so the {n} {v} her {d}.",
    "With a {a} {n} in one hand, he {v} the {n} of the {n} {p}.",
    "Of all the {a} things {p}, the {n} was the one that {N} {v} {t}.",
    "If the {n} had {v} the {n}, we would have {v} a {a} {n} {t}.",
    "She {v} the {n} and the {n}, then {d} {v} {N}.",
    "They have {v} this {a} {n} {t}, and to the {n} it was as {a} as a {n}.",
    "No {n} is as {a} as the {n} that {N} {v} {p}.",
    "What {N} {v} {t} was only a {a} {n} with the {n} of a {n}.",
    "The {a} {n} {p} {d} {v} a {n}, which {N} had not {v}.",
    "That is how {N} {v} the {a} {n} and {v} the {n} {t}.",
    "Nobody in the {n} {v} the {n}; {N} {v} it {d} all the same.",
    "To be {a} was to have {v} a {n} {p}, {N} thought.",
    "A {n}, a {n} and a {a} {n} were {v} {p} {t}.",
    "He was {a} and the {n} was {a}, and both of them {v} {N}.",
    "{t} {N} {d} {v} the {n} that the {n} of {N} had {v} {p}.",
    "The {n}'s {a} {n} was {v} by the {n} {p} {t}.",
)
TITLES = (
    "A {a} {n} finds that the {n} {p} has {v} every {n} since {N} was born.",
    "You are the last {n} {p}. {t} a {a} {n} {v} you and asks for your {n}.",
    "Everyone is born with a {a} {n}. Yours is a {n}, and {N} has {v} it {d}.",
    "The {n} of {N} {v} a {n} {t}; now the {a} {n} wants it back.",
    "{t} the {n} {p} {v} {N}, and a {a} {n} must choose between the {n} and the {n}.",
    "For centuries the {a} {n} has {v} the {n}. {N}, a {n}, {d} {v} it by mistake.",
)
TOPICS = (
    "how a {a} {n} {v} the {n} {p}",
    "the {a} {n} that {N} {v} {t}",
    "a {n} and a {a} {n} who {d} {v} each other {p}",
    "why the {n} of {N} was {v} {t}",
    "what a {a} {n} can learn from a {n} {p}",
    "the history of the {a} {n} {p} and its {n}",
)
REQUESTS = (
    "Write a {length} essay about {topic}.",
    "Write a short story about {topic}.",
    "Please write a blog post on {topic}.",
    "I need a speech about {topic}, {length} and not too formal.",
    "Help me draft a letter in which I explain {topic}.",
    "Compose a poem about {topic}.",
    "Could you write a {length} article on {topic}?",
    "Create a dialogue about {topic}.",
    "Write a product description that mentions {topic}.",
    "Draft a report of {length} on {topic} for my manager.",
)
LENGTHS = ("500-word", "300-word", "1,000-word", "two-page", "short", "detailed", "200-word", "800-word")
#: What people ask chats besides writing; ``{n}`` and ``{N}`` as above.
OTHER_REQUESTS = (
    "How do I sort a list of {n} objects by price in Python? My code raises a TypeError.",
    "What is 17 * {k}?",
    "Fix this SQL: SELECT {n} FROM {n}s WHERE id = {k}",
    "Which is bigger, a {n} or a {n}?",
    "Translate '{n}' to Polish",
    "Why does my {n} app crash with error {k}?",
    "Solve for x: {k}x + 3 = 12",
    "Who invented the {n}?",
)
REFUSALS = (
    "I'm sorry, but as an AI language model I cannot help with that request. Would you like another topic?",
    "As an AI, I do not have personal experiences, so I am unable to write this text for you. I apologise.",
    "I apologize, but I can't assist with that. If you have any other questions, feel free to ask me about them.",
)

NOUNS_ZH = _listed(
    "灯塔 老师 河流 邮局 自行车 外婆 厨房 月亮 火车 书店 茶馆 渔夫 城市 花园 医生 "
    "桥梁 信件 钢琴 山谷 船长 照片 市场 农民 雨伞 剧院 画家 学校 图书馆 "
    "石头 窗户 面包 邻居 "
    "记者 车站 院子 毛衣 钟表 海岛 诗人 木匠 护士 风筝 果园 广场 裁缝 工厂 警察 博物馆 蜡烛 隧道"
)
ADJECTIVES_ZH = _listed(
    "安静的 古老的 温暖的 陌生的 疲惫的 明亮的 孤独的 普通的 神秘的 "
    "善良的 破旧的 美丽的 遥远的 忙碌的 固执的 谦虚的 寒冷的 幸福的"
)
VERBS_ZH = _listed(
    "看见了 记住了 离开了 修好了 找到了 忘记了 画下了 带走了 守护着 想念着 "
    "打开了 等待着 拒绝了 理解了 改变了 发现了 告诉了 帮助了"
)
PLACES_ZH = _listed(
    "在河边 在山脚下 在小镇上 在车站旁 在院子里 在海边 在城市的另一头 在雪地里 在老房子里 在桥下 在学校门口 在窗前"
)
FORMS_ZH = (
    "{a}{n}{p}{v}一个{a}{n}。",
    "那一年，{N}{v}{a}{n}，也{v}自己的{n}。",
    "{p}，有一座{a}{n}，{N}每天都{v}它。",
    "谁也没有想到，{n}竟然{v}那个{a}{n}。",
    "“你{v}我的{n}，”{N}说，“所以我{v}你。”",
    "后来，{n}和{n}一起{v}{a}{n}。",
    "如果没有{a}{n}，{N}就不会{p}{v}那个{n}。",
    "{N}轻轻地{v}{n}，心里想着{a}{n}。",
)
REQUESTS_ZH = (
    "请写一篇关于{topic}的文章，五百字左右。",
    "帮我写一个故事，主题是{topic}。",
    "以{topic}为题写一篇散文。",
    "写一份关于{topic}的演讲稿。",
)
TOPICS_ZH = ("{a}{n}{p}{v}{a}{n}", "{N}{v}{n}以后，{a}{n}怎样{v}{n}", "{a}{n}和{a}{n}{p}{v}{N}")
SURNAMES_ZH = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
NAMES_ZH = "明芳伟丽强敏静军洋勇艳杰娟涛超霞平刚桂英华玉兰文辉建国志红梅春"

#: Other languages: sentence forms over small vocabularies, ``{n}`` noun and ``{v}`` verb.
OTHERS: dict[str, tuple[tuple[str, ...], list[str], list[str]]] = {
    "German": (
        (
            "Der {n} und die alte Frau {v} gestern lange über den {n} am Ende der Straße.",
            "Niemand wusste, warum der {n} nicht mehr {v}.",
            "Als es dunkel wurde, {v} der {n} noch einmal, und wir gingen schweigend nach Hause.",
            "Wer den {n} einmal gesehen hatte, der {v} anders als zuvor.",
            "Meine Großmutter {v} immer, wenn sie an den {n} dachte.",
            "Unter dem {n} lag ein zweiter {n}, doch das Kind {v} weiter.",
            "Der Regen fiel auf den {n}, und der {n} {v} in der Kälte.",
            "Erst im Herbst {v} er wieder, denn der {n} war verkauft.",
            "Zwischen {n} und {n} standen drei Stühle, auf denen keiner {v}.",
            "Sie legte den {n} neben den {n}, ohne ein Wort zu sagen.",
        ),
        _listed(
            "Garten Schlüssel Bahnhof Koffer Lehrer Brief Winter Nachbar Spiegel Fluss Tisch Mantel Wagen "
            "Turm Hund Schrank"
        ),
        _listed("erzählte schwieg wartete lachte arbeitete kochte suchte blieb sang rechnete fragte verschwand"),
    ),
    "French": (
        (
            "Le {n} du village {v} pendant que les enfants regardaient la pluie tomber sur le {n}.",
            "Personne ne savait pourquoi le {n} {v} chaque soir.",
            "Elle avait oublié son {n} dans la cuisine, et il {v} sans rien dire.",
            "Celui qui avait vu le {n} ne {v} plus comme avant.",
            "Ma grand-mère {v} toujours quand elle pensait au {n}.",
            "Sous le {n} se trouvait un autre {n}, mais l'enfant {v} encore.",
            "La pluie couvrait le {n}, et le {n} {v} dans le froid.",
            "En automne seulement, il {v} de nouveau, car le {n} était vendu.",
            "Entre le {n} et le {n}, trois chaises où nul ne {v}.",
            "Elle posa le {n} à côté du {n} sans un mot.",
        ),
        _listed(
            "jardin voisin chapeau bateau miroir chemin couteau docteur piano marché facteur manteau livre "
            "clocher chien pont"
        ),
        _listed(
            "chantait dormait attendait travaillait riait marchait pleurait parlait revenait écrivait "
            "cherchait tremblait"
        ),
    ),
    "Spanish": (
        (
            "El {n} de la plaza {v} mientras los niños miraban el {n} desde la ventana.",
            "Nadie sabía por qué el {n} {v} todas las noches.",
            "Mi abuela guardaba un {n} en la cocina y siempre {v} antes de la cena.",
            "Quien había visto el {n} ya no {v} como antes.",
            "Mi madre {v} cuando pensaba en el {n} de su pueblo.",
            "Debajo del {n} había otro {n}, pero el niño {v} todavía.",
            "La lluvia caía sobre el {n}, y el {n} {v} con frío.",
            "Solo en otoño {v} otra vez, porque vendieron el {n}.",
            "Entre el {n} y el {n} quedaban tres sillas donde nadie {v}.",
            "Ella puso el {n} junto al {n} sin decir palabra.",
        ),
        _listed(
            "jardín vecino sombrero barco espejo camino cuchillo médico piano mercado cartero abrigo libro "
            "campanario perro puente"
        ),
        _listed("cantaba dormía esperaba trabajaba reía caminaba lloraba hablaba volvía escribía buscaba temblaba"),
    ),
    "Russian": (
        (
            "Старый {n} долго {v} у окна, пока дети смотрели на {n} и дождь.",
            "Никто не знал, почему {n} {v} каждый вечер.",
            "Когда стемнело, {n} снова {v}, и мы молча пошли домой.",
            "Кто видел {n}, тот уже не {v} как прежде.",
            "Брат {v}, когда думал про {n}.",
            "Под мостом был другой {n}, но мальчик ещё {v}.",
            "Дождь шёл на {n}, а {n} {v} на холоде.",
            "Только осенью он снова {v}, ведь {n} продали.",
            "Между нами был {n}, где никто не {v}.",
            "Она молчала, а {n} долго {v} рядом.",
        ),
        _listed("сад сосед поезд город мост дом учитель лес стол вокзал дождь ключ снег корабль доктор рынок"),
        _listed("пел спал ждал работал смеялся шёл плакал говорил писал искал молчал дрожал"),
    ),
}

"""Lists of English words by which things are told from what is no thing."""


def _as_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS = _as_words(
    """
    a an and are as at be but by for from has have in is it its not of on or so that the there they this to was were which with
    """
)
"""The commonest words of English that carry no meaning of their own."""
ENDS = _as_words(
    """
    a above across again against ahead all alone along already also altogether am an and any apart are around as at away be because been
    behind being below beside between both but by can could did do does down each even for far from had has have he her here herself himself
    his however i if in inside instead into is it its itself just less may me might more most must my near no not of on once one ones
    only onto or otherwise our outside over quite rather she should so some still than that the their them themselves then there
    therefore these they this those through to together too toward towards twice under up us very was we well were when where which
    while who whose will with within without would yet you your
    """
)
"""A noun phrase ends before these."""
VERBS = _as_words(
    """
    appear appears begin begins belong belongs bend bends carries carry close closes come comes convey conveys cover covered covers
    crosses curves dominate dominates drawn dressed drop drops end ends evoke evokes extends face faces fall falls feel feels fill
    filled fills fit fits flies float floats fly form forms frames gathered get gets give gives glow glows go goes graze hang hangs hold
    holds joins keep keeps lead leads lean leans lie lies lit look looks made make makes mark marks match matches meet meets move moves
    open opens painted pass passes placed play plays point points reach reaches read reads reflect reflects remain remains rest rests
    rise rises run runs saw say says seated seem seems seen sees set shine shines show shown shows sit sits slopes smile smiles speak
    speaks stand stands stare stares start starts stretch stretches suggest suggests support supports surround surrounded surrounds
    takes tapers tell tells tied took touch touches turn turns visible wait waits walk walks watch watches wear wears
    """
)
"""And before these verbs of descriptions, but right after its determiner, where they are nouns or adjectives."""
ABSTRACT = _as_words(
    """
    absence action activity amount amusement anger angle answer anything area assessment atmosphere attention awe back background
    beginning best bit bits bottom calm candidate candidates case category center centre chance check choice choices clue clues color
    colors colour colours combination composition conclusion contentment context contrast corner couple dark day degree description
    detail details difference direction disgust distance edge effect emotion emotions end ends environment equation event everything
    evidence example excitement expression expressions eye fact facts fear feeling feelings few fifths first focus foreground form
    former fourths frame front gesture group guess guesses half halves happiness height hint hypotheses hypothesis idea image impression
    interest interpretation joy kind label labels last latter least left length less letter level light lighting look lot main many mass
    meaning middle mind mix mixture moment mood more most next nothing number numbers object objects only option options other others
    overall pair part parts peace photo photograph picture piece pieces place point points position possibility posture presence problem
    proportion quarter quarters question range reading readings reason reasoning reasons region rest result right row sadness same scene
    second sense series set setting several shape shapes share side sides similarity situation size solution something sorrow sort space
    step steps style subject sum surprise tenths text texture thing things third thirds thought thoughts time tone top total type value
    variety view viewer way ways weight whole width word words
    """
)
"""Heads that nobody can point at, or that name the picture itself."""
ADJECTIVES = _as_words(
    """
    big black blue bright brown clear close closed dense diagonal different distant empty entire faint fifth flat fourth full gray green
    grey high horizontal large little long low lower main narrow nearby new old open orange pink purple red round short similar single
    sixth small square straight tall thick thin upper vertical visible white whole wide yellow young
    """
)
"""No noun, or rarely, so a phrase that ends with one was cut before its noun."""
THINGS_IN_ING = _as_words(
    """
    awning building ceiling clothing drawing earring king lightning painting railing ring spring string swing wedding wing
    """
)
"""Nouns that look like gerunds."""
PLURALS = _as_words("people children men women feet teeth mice geese fish sheep deer")
"""Plurals without -s."""

"""The English words by which a reasoning shows that it starts from its answer, in a sentence in which the answer is written as "@"."""

import re
from dataclasses import dataclass
from typing import Literal

from cotforge.measures.needs import Needs, read_needs

_AN = r"(?:(?:an?|the|that|only|just|exactly|in|as|to|at)\ ){0,2}[\"'*(\[]{0,3}@"
"""The answer, with what may stand before it."""
_DETAILS = (
    r"(?:details?|cues?|clues?|evidence|observations?|shapes?|features?|elements?|parts?|points?|steps?|facts?|signs?|readings?|weights?"
    r"|colou?rs?|light|picture|image|scene|photo|things?|numbers?|letters?|traits?|aspects?)"
)
_CHAIN = (
    r"(?:reasoning|chain|thought|thinking|argument|argumentation|explanation|rationale|steps?|path|derivation|analysis|logic|story|text"
    r"|deduction|observations?)"
)
_GOAL = (
    r"(?:target|goal|aim|objective|end\ ?point|destination|end|(?:end|final|known|given|fixed)\ (?:result|answer|outcome)|outcome|anchor"
    r"|(?:starting|fixed|reference)\ point|start|point\ of\ departure|premise|endpoint|(?:desired|intended|expected)\ \w+)"
)
_MUST = (
    r"(?:must|should|shall|has\ to|have\ to|had\ to|needs?\ to|ought\ to|is\ to|are\ to|want(?:s|ed)?\ to|wish\ to|aim\ to"
    r"|(?:is|are|am)\ (?:supposed|meant|required|expected)\ to|would\ like\ to|try\ to|trying\ to)"
)
_REACH = (
    r"(?:get(?:s|ting)?|reach(?:es|ing)?|arriv(?:e|es|ing)|end(?:s|ing)?|finish(?:es)?|land(?:s|ing)?|com(?:e|es|ing)|obtain"
    r"|conclud(?:e|es)"
    r"|result(?:s|ing)?|lead(?:s|ing)?|produc(?:e|es|ing)|yield(?:s|ing)?|giv(?:e|es|ing)|bring(?:s|ing)?|add(?:s)?\ up|work(?:s)?\ out"
    r"|turn"
    r"(?:s)?\ out|mak(?:e|es|ing)|clos(?:e|es))"
)
_I_MUST = (
    r"(?:(?:i|we)\ (?:now\ |only\ |just\ |still\ |then\ ){0,2}(?:must|should|shall|will|can|need\ to|have\ to|want\ to|try\ to)|let\ me"
    r"|let\ us|let's|i'll|what\ remains\ is\ to|remains\ to)"
)
_SETTLED = r"(?:known|fixed|settled|decided|determined|predetermined|certain\ from\ the\ start|set|established|given)"
_RESULT = r"(?:answer|result|outcome|conclusion|solution|label)"

REVERSED = re.compile(
    r"""\b(?:
        revers(?:e|ed|ing)[-\ ]?engineer\w*\b
      | (?:think|work|go|reason|argu|infer|mov|start|proceed|step|trac|deriv|look)\w*\ (?:\w+\ )?(?:backwards?|in\ reverse)\b
      | (?:argue|reason|work|trace|retrace|go|move|step|come|infer|deduce|walk|think)\ (?:\w+\ ){0,3}?back\b
      | trac(?:e|ing)\ (?:\w+\ )?back(?:ward)?s?\b
      | in\ reverse\b
      | (?:back|up)\ from\ the\b
      | retrac(?:e|ing)\ the\ (?:steps|path|reasoning)\b
      | back\ to\ what\ can\ be\ seen\b)""",
    re.VERBOSE,
)
"""A leak where the sentence names the answer, or speaks of an answer, and calculates nothing."""


@dataclass(frozen=True, eq=False)
class Way:
    """A way to start from the answer: by `BACKWARDS` of `leak_patterns`, by a pattern below, or by a pattern of its own."""

    of: Literal["result", "reversed", "settled", "toward"]
    needs: tuple[Needs, ...]
    """Of the words of a sentence that does so."""
    pattern: re.Pattern[str] | None = None


def _toward(needs: str, pattern: str) -> Way:
    """The answer as where the reasoning has to go."""
    # A pattern that begins with a rare letter is found some times quicker where nothing stands before it.
    begun = "" if pattern.startswith(("@", "if\\ ", "from\\ ", "(?P<asked>")) else r"(?<![^\W_])"
    return Way("toward", read_needs(needs), re.compile(f"{begun}(?:{pattern})", re.VERBOSE))


_REACHES = (
    "get gets getting reach reaches reaching arrive arrives arriving end ends ending finish finishes land lands landing come comes"
    " coming obtain conclude concludes result results resulting lead leads leading produce produces producing yield yields yielding give"
    " gives giving bring brings bringing add adds work works turn turns make makes making close closes"
)
_CHAINS = (
    "reasoning chain thought thinking argument argumentation explanation rationale step steps path derivation analysis logic story text"
    " deduction observation observations"
)
_MUSTS = "must should shall has have had need needs ought is are want wants wanted wish aim am would try trying"
TOWARD = (
    _toward(
        "target goal aim objective end point endpoint destination result answer outcome anchor start premise departure desired intended"
        " expected + as for being",
        rf"""@\ (?:as|for|being)\ (?:the|our|my|an?|its)\ (?:\w+\ ){{0,2}}?{_GOAL}\b""",
    ),
    _toward(
        "get reach arrive land end come conclude obtain + to",
        rf"""(?P<toward>\Ato|in\ order\ to|so\ as\ to)\ (?:get\ (?:to|at)|reach|arrive\ at|land\ on|end\ (?:up\ )?(?:at|with|in|as)
          |come\ (?:to|out\ (?:at|as))|conclude|obtain|get)\ {_AN}(?=,|\ (?:i|we|one|the)\b)""",
    ),
    _toward(
        "mind + with keeping having bearing holding",
        r"""(?:with|keeping|having|bearing|holding)\ (?:an?\ )?@\ (?:as\ [^,;]{1,25}\ )?in\ mind\b
          | (?:bearing|keeping|having)\ in\ mind\b[^;]{0,25}\b(?:want|need|must|should|has\ to|have\ to|supposed)\b[^,;]{0,15}@""",
    ),
    _toward(
        "target goal aim objective destination endpoint point purpose fixed intended desired expected required wanted end"
        " + is was being be",
        rf"""(?:target|goal|aim|objective|destination|end\ ?point|purpose|(?:fixed|intended|desired|expected|required|target|wanted)
          \ (?:result|answer|outcome|conclusion|total|point)|end\ of\ (?:this|the|my)\ \w+)
          (?:\ of\ (?:this|the|my|our|all)\ (?:\w+\ )?\w+)?
          \ (?:is|was|being|has\ to\ be|must\ be|should\ be|will\ be|needs\ to\ be)\ (?:(?:already|therefore|thus|then)\ )?
          (?:to\ (?:reach|get|arrive|end|land|come|obtain|conclude|produce)\ (?:\w+\ ){{0,2}}?|{_SETTLED}\b(?:\ as|\ to\ be|:
          |,)?\ )?{_AN}""",
    ),
    _toward(
        "end final outcome + result outcome",
        rf"""(?:(?:end|final)\ result|outcome)\ (?:has\ to\ be|must\ be|needs\ to\ be|is\ (?:already\ |therefore\ )?{_SETTLED}\b(?:\ as
          |\ to\ be|:|,)?)\ {_AN}""",
    ),
    _toward(
        f"{_CHAINS} + {_REACHES} | {_CHAINS} + up from + to",
        rf"""{_CHAIN}\ (?:\w+\ ){{0,3}}?{_MUST}\ (?:\w+\ ){{0,2}}?{_REACH}\b[^,;]{{0,25}}@
          | {_CHAIN}\ (?:that|which|to)\ (?:\w+\ )?{_REACH}\b[^,;]{{0,25}}@
          | {_CHAIN}\ (?:up|from\ [^,;]{{1,30}})\ to\ {_AN}""",
    ),
    _toward(
        "steer direct guide push nudge bend tilt move head build twist stretch + to toward towards",
        rf"""{_MUST}\ (?:\w+\ )?(?:steer|direct|guide|push|nudge|bend|tilt|move|head|build|twist|stretch)\b[^;]{{0,40}}\b(?:towards?
          |to)\ {_AN}""",
    ),
    _toward(
        "get reach arrive end land come obtain produce yield finish + want need have ought wish like aim try must + i we",
        r"""(?:i|we)\ (?:\w+\ )?(?:want|need|have|ought|wish|would\ like|aim|try)\ to\ (?:\w+\ )?(?:get|reach|arrive|end|land|come|obtain
          |produce|yield|finish)\b[^,;]{0,20}@(?!\ (?:again|too|both))
          | (?:i|we)\ (?:\w+\ )?must\ (?:get|reach|arrive|end|land|come|obtain|produce|finish)\b[^,;]{0,20}@(?!\ (?:again|too|both))""",
    ),
    _toward(
        "want need + i we",
        rf"""(?:i|we)\ (?:want|need)\ (?:the\ {_CHAIN}\ to\b[^,;]{{0,25}}@|{_AN}\ (?:at\ the\ end|in\ the\ end|to\ \w+|as\ (?:the|a|our|my)
          |,\ so))
          | (?:i|we)\ (?:want|need)\ {_AN}(?=,\ so\b)""",
    ),
    _toward(
        "get arrive reach come end justify + how",
        r"""how\ (?:do|can|could|would|should|might|did)\ (?P<how>i|we|one|you)\ (?:\w+\ )?(?:get|arrive|reach|come|end\ up
          |justify)\b[^,;]{0,60}@
          | (?:is|only|just)\ how\ to\ (?:get|arrive|reach|come|end\ up)\b[^,;]{0,40}@""",
    ),
    _toward(
        "lead give produce yield explain result bring justify make + what which + would could might can will",
        r"""(?P<asked>what|which\ \w+)\ (?:(?:in|of|about|from)\ (?:the|this)\ \w+\ |here\ )?(?:would|could|might|can|will)\ (?:\w+\ )?
          (?:lead|give|produce|yield|explain|result\ in|bring\ (?:\w+\ )?about|justify|make\ (?:it|this))\b[^,;]{0,30}@(?!\ after\ all)""",
    ),
    _toward(
        "choose pick select arrange adjust interpret read weigh collect gather look search only just need + that which so to"
        f" + {_REACHES} support supports favour favor favours favors belong belongs go goes fit fits match matches speak speaks point"
        " points",
        rf"""(?:choose|pick|select|arrange|adjust|interpret|read|weigh|collect|gather|look\ for|search\ for|(?:only|just)\ (?:mention
          |name|list
          |use|take)|need)\ [^;]{{0,50}}?\b(?:that|which|so\ that|so|such\ that|in\ such\ a\ way\ that|to)\ (?:\w+\ ){{0,3}}?
          (?:{_REACH}|supports?|favou?rs?|belongs?|go(?:es)?\ with|fits?|match(?:es)?|speaks?\ for|points?)\b[^,;]{{0,25}}@""",
    ),
    _toward(
        "comes wins results remains follows prevails emerges fits stands + that + so such way",
        rf"""(?:so|such|in\ such\ a\ way)\ that\ {_AN}\ (?:comes|wins|results|remains|follows|prevails|emerges|fits|stands)\b""",
    ),
    _toward(
        "way path route road line chain + find look looking search need be have",
        r"""(?:find|look\ for|looking\ for|search\ for|need|be|have)\ (?:a|the|some|any)\ (?:way|path|route|road|line
          |chain)\b[^,;]{0,60}@""",
    ),
    _toward(
        "lead leads make makes give gives get gets bring brings point points produce produces explain explains + there something"
        " + must should has have ought needs",
        r"""there\ (?:must|should|has\ to|have\ to|ought\ to)\ be\ (?:an?|some|one|something)\b[^,;]{0,40}\b(?:that|which|to)\ (?:\w+\ )?
          (?:lead|make|give|get|bring|point|produce|explain)s?\b[^,;]{0,20}@
          | something\ (?:[\w']+\ ){0,4}?(?:must|has\ to|should|needs\ to)\ (?:make|lead|give|bring|produce|explain)\b[^,;]{0,20}@""",
    ),
    _toward(
        f"come + out to + {_MUSTS} | work turn + out + {_MUSTS} | add + up + {_MUSTS} | land end arrive + {_MUSTS}",
        rf"""{_MUST}\ (?:\w+\ )?(?:come\ (?:out|to)|work\ out|turn\ out|add\ up|land|end|arrive)\b[^,;]{{0,12}}@""",
    ),
    _toward(
        "match fit suit get justify agree stay + to",
        rf"""\Ato\ (?:match|fit|suit|get|justify|agree\ with|stay\ with)\ (?:the\ \w+\ )?{_AN}(?=,)""",
    ),
    _toward(
        "consistent compatible line + with + be stay remain",
        rf"""to\ (?:be|stay|remain)\ (?:consistent|in\ line|compatible)\ with\ {_AN}(?!\ or\b)""",
    ),
    _toward(
        "make + to",
        rf"""to\ make\ (?:it|this|that|the\ \w+|everything|all|things)\ (?:[\w]+\ ){{0,4}}?{_AN}(?=,)""",
    ),
    _toward(
        "become equal come end be + for + to + it this that answer result outcome conclusion solution label total count",
        rf"""for\ (?:it|this|that|the\ {_RESULT}|the\ total|the\ count)\ to\ (?:be|become|equal|come\ (?:out|to)
          |end)\b[^,;]{{0,12}}@(?!\ or\b|\ rather)""",
    ),
    _toward(
        "if + be end get come reach arrive give equal + to | if + is + answer label solution result correct right true given"
        " | if + accept accepts want wants take takes",
        rf"""if\ (?:it|this|that|we|i|the\ \w+)\ (?:is|are|am|has|have)\ to\ (?:be|end|get|come|reach|arrive|give|equal)\b[^,;]{{0,15}}@
          | if\ {_AN}\ is\ (?:indeed\ )?(?:the\ (?:right\ |correct\ |true\ |known\ |given\ )?(?:answer|label|solution|result)|correct|right
          |true|given)
          \b[^;]{{0,60}}\b(?:must|has\ to|have\ to|needs\ to|is\ what|cannot)\b
          | if\ (?:we|i|one)\ (?:accept|want|take)s?\ {_AN}""",
    ),
    _toward(
        "assuming supposing granting accepting",
        rf"""(?P<taken>assuming|supposing|granting|accepting)\ (?:that\ )?(?:the\ (?:answer|label|result
          |solution)\ (?:is\ )?(?:to\ be\ )?{_AN}
          |{_AN}\ (?:is\ (?:correct|right|true|the\ (?:right\ |correct\ )?answer)|as\ (?:given|known|true|correct|settled)))""",
    ),
    _toward(
        "know knew knowing aware",
        rf"""(?:since|because|as|now\ that)\ (?:i|we)\ (?:already\ )?(?:know|knew)\ (?:\w+\ ){{0,3}}?{_AN}
          | (?:knowing|already\ know|aware|know\ in\ advance)\ (?:in\ advance\ |beforehand\ |already\ )?(?:that\ )?
          (?:it|this|that|the\ \w+)\ (?:\w+\ )?(?:is|was|be|ends|comes)\ {_AN}
          | (?:i|we)\ (?:already\ )?know\ (?:that\ )?(?:it|this|the\ \w+)\ (?:must|has\ to|should|ends?|will|needs\ to)\b[^,;]{{0,15}}@
          | (?:i|we)\ know\ where\ [^;]{{0,40}}@""",
    ),
    _toward(
        "connect tie link bridge relate bind lead move work build + to with and toward towards between + i we let remains",
        rf"""{_I_MUST}\ (?:connect|tie|link|bridge|relate|bind|lead|move|work|build)\b[^;]{{0,50}}\b(?:to|with|and|towards?
          |between)\ {_AN}""",
    ),
    _toward(
        "interpret treat present frame + as + need have",
        rf"""(?:need|have)\ to\ (?:interpret|treat|present|frame)\b[^,;]{{0,40}}\ as\ {_AN}""",
    ),
    _toward(
        "otherwise else",
        r"""(?:otherwise|or\ else)\ (?:it|this|that|i|we|the\ \w+|there|one)\ (?:would|could|will|can|might)(?:n't|not|\ not|\ never
          |\ no\ longer|\ fail)\b
          [^;]{0,25}@""",
    ),
    _toward(
        "until",
        r"""(?:adjust|weigh|try|tried|change|vary|shift|rearrange|interpret|read|(?:keep|go\ on)\ (?:looking|trying|reading|adjusting
          |weighing|searching)|looking)\b[^;]{0,50}\buntil\b[^;]{0,25}@""",
    ),
    _toward(
        f"leave leaves left set put drop ignore skip + so + {_REACHES}",
        rf"""(?:leave|leaves|left|set|put|drop|ignore|skip)\b[^;]{{0,50}}\bso\ (?:it|this|that\ \w+)\ (?:{_REACH})\b[^,;]{{0,15}}@""",
    ),
    _toward(
        "must should supposed required desired wanted needed intended planned demanded need want ought aiming target goal + as which that"
        " | have has had + what where + which that | was + be + as",
        r"""@,?\ (?:just\ |exactly\ |precisely\ )?(?:as\ (?:it\ (?:must|should|ought\ to|is\ supposed\ to)|required|desired|wanted|needed
          |intended
          |planned|demanded|was\ to\ be|(?:this|that)\ (?:must|should))|(?:which|and\ that)\ is\ (?:just\ |exactly\ )?(?:what
          |where)\ (?:we|i|it)
          \ (?:need|want|must|should|has\ to|have\ to|had\ to|were\ aiming)|which\ is\ (?:the\ (?:target|goal|desired)|as\ (?:required
          |desired)))""",
    ),
    _toward(
        "from + i we one back follows can means backward backwards",
        rf"""from\ {_AN}\ (?:i|we|one|back|it\ follows|can|this\ means|backwards?)\b""",
    ),
    _toward(
        "start begin starting beginning + with at from",
        rf"""(?:start|begin|starting|beginning)\ (?:out\ )?(?:with|at|from)\ {_AN}(?:,?\ (?:and|i|we|let\ me)\b|\Z)""",
    ),
    _toward(
        "take + as + given settled fixed known true",
        rf"""take\ {_AN}\ as\ (?:given|settled|fixed|known|true)\b""",
    ),
    _toward(
        "target + is was",
        rf"""target\ \w+\ (?:is|was)\ {_AN}""",
    ),
    _toward(
        "answer result outcome conclusion solution label total reasoning line word chain number count sum value"
        " + needs must should ought has + be read say show",
        rf"""(?:{_RESULT}|total|reasoning|line|word|chain|number|count|sum|value)\ (?:needs\ to|has\ to|must|should|ought\ to)\ (?:be|read
          |say|show)\ {_AN}
          (?=,\ (?:so|which\ means|and\ so|hence|therefore|thus)\b)
          | \A(?:my|our)\ (?:conclusion|final\ answer|answer|result)\ (?:needs\ to|has\ to|must|ought\ to)\ be\ {_AN}""",
    ),
)
"""A leak where the answer is named and no other option, and nothing is calculated or only supposed."""

SETTLED = re.compile(
    rf"""\b(?:
        {_RESULT}\ is\ (?:already\ |therefore\ |thus\ )?(?:known(?!\ (?:as|for|from\ the\ figure))|fixed|settled|predetermined)\b(?!\ by\b)
      | knowing\ (?:what|which)\ the\ (?:\w+\ )?{_RESULT}\b
      | (?:knowing|aware\ of|know)\ the\ (?:final\ |correct\ |right\ |true\ )?{_RESULT}\b(?!\ (?:of|to)\b)
      | (?:knowing|given|know|knew)\ where\ (?:this|it|we|i|the\ \w+)\ (?:has|have|must|needs?|should|is|are)\b[^,;]{{0,20}}?\b(?:go
          |end|lead|arrive|land|be)\b
      | (?:fill|filling)\ in\ the\ (?:missing\ )?(?:steps|path|reasoning|gap)\b
      | (?:only|just)\ (?:need|have|describe|needs?|want)\ (?:to\ (?:find|write|give|describe)\ )?(?:how\ to\ get\ there|the\ (?:steps
          |path)\ (?:in\ between|there|to\ it))
      | (?:knowing|given|know|knew)\ where\ (?:this|it|we|i|the\ \w+)\ (?:has|have|must|need|needs|should)\ (?:to\ )?end\b
      | from\ the\ (?:known|given|final|end)\ (?:result|answer|conclusion|outcome)\b)""",
    re.VERBOSE,
)
"""A leak also where the answer is not named."""

SUPPOSED = re.compile(
    r"\b(?:would|were|wrong|unless|perhaps|maybe|might|hypothe\w+|whether|check|verify|test|again|both)\b|n't\ (?:be|seem)\b"
)
"""What makes a sentence weigh, test or repeat, instead of starting from the answer."""
CALCULATES = re.compile(
    r"\d|[=+\u00d7/^]|\b(?:add(?:ed|ing)?|subtract\w*|multipl\w+|divid\w+|times|plus|minus|twice|doubl\w+|sum|square\w*|equations?"
    r"|sides?)\b"
)
"""Of a number one says how it is reached, which is no leak."""

_RESULTS = "answer result outcome conclusion solution label"
WAYS = (
    Way(
        "result",
        read_needs(
            "backward backwards reverse back + from"
            " | start starting begin beginning go going set setting + from"
            " | start starting begin beginning go going set setting proceed proceeding + from with + answer label conclusion annotation"
            " | get gets reach arrive obtain land end come hit produce yield lead"
            " + answer label result value number total conclusion category class + to must should will that"
            " | get reach arrive land end come conclude obtain + to"
            " | come comes end ends land lands arrive arrives reach reaches give gives lead leads work works + so + that as"
            " | come end add lead arrive conclude result reach turn + must has have needs need should supposed meant"
            " | target goal desired point destination + is was being"
            " | knowing aware | know + advance already | known + already"
            " | answer label result conclusion category + for + to + be come become"
        ),
    ),
    Way("reversed", read_needs("backward backwards reverse reversed reversing back retrace retracing | up + from")),
    Way(
        "settled",
        read_needs(
            f"known fixed settled predetermined knowing know aware + {_RESULTS} | knowing given know knew + where"
            " | fill filling + steps path reasoning gap | only just + need needs have describe want + how steps path"
            " | known given final end + answer result conclusion outcome + from"
        ),
    ),
    *TOWARD,
)

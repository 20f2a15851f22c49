"""The English words by which a reasoning shows that it was told its answer, kind by kind. Used by `leaks` alone.

All are searched in one sentence, in lower case. Groups hold what has to be compared with the answer; quantifiers are bounded.
"""

import re

_ADVERB = r"(?:(?:already|also|explicitly|clearly|officially|correctly|simply|now|therefore)\s+)?"
GIVEN = (
    r"(?:given|provided|supplied|stated|specified|assigned|pre-?assigned|predetermined|designated|known|official|listed|recorded|annotated)"
)
TRUE = r"(?:correct|right|true|actual|real|final|target|gold|class|image|dataset)"
_KNOWN = rf"(?:(?:{TRUE}|{GIVEN})\s+){{0,3}}"
TASK = r"(?:emotion|animal|species|breed|mood|feeling|sentiment|style|genre|activity|action|country|city|diagnosis|brand|theme)"
"""What a question asks for, where its answer has no other word. Shapes, persons, letters and the like are also given by the picture."""
_DATUM = r"(?:number|value|word|name|total|count|result|shape|scene|object|place|person|letter|digit|title|type|colou?r|finding)"
META_WORD = rf"(?:label|answer|category|class|classification|annotation|solution|response|verdict|{TASK})"
_LABEL = r"(?:label|annotation|classification)"
_SAYS = r"(?:says|said|states|stated|reads|indicates|indicated|tells|specifies|confirms|gives|lists|names|shows|marks)"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.VERBOSE)


THING = _compiled(
    r"""\b(?:
        \w+'s\ label\b
      | label(?:s|led|ed)?,?\ (?:(?:glued|printed|stuck|pasted|attached|pinned|tied|sewn|wrapped)\ )?
        (?:on|onto|around|beneath|under|above|below|along|at|across|in)\ (?:the|a|an|its|his|her|their|each|every|one|both|top|it)\b
        (?!\ (?:data|prompt|question|task|file|instruction|metadata|annotation))
      | (?:bottle|jar|box|can|tin|package|packet|price|paper|warning|food|wine|beer|bag|shelf|axis|axes|name|file|shipping|luggage
      |product
          |clothing|care|street|map|diagram|chart|white|red|yellow|blue|green|black|printed|handwritten|small|large|front|back|faded|torn
          |record|address|nutrition|medicine|drug|brand|designer)\ labels?\b)"""
)
"""A label that the picture shows, as one on a bottle or an axis."""

GIVEN_ANSWER = _compiled(
    rf"""\b(?:
        {GIVEN}\ (?:(?:{TRUE}|{GIVEN}|{TASK})\ ){{0,2}}{META_WORD}\b
      | {GIVEN}\ (?:number|value|word)\ (?:(?:is|can\ be|may\ be)\ (?:clearly\ )?(?:visible|seen|found|recogni[sz]ed|felt)|shows
          |is\ reflected)\ in
          \ (?:\w+\ )?(?:details?|places|features|cues|elements|parts|aspects)\b
      | {GIVEN}\ (?:(?:{TRUE}|{GIVEN})\ ){{0,2}}{_DATUM}\b(?P<said>.{{0,60}})
      | (?:{_DATUM}|{TASK}|class|category)\ (?:(?:that|which)\ )?(?:(?:is|was|has\ been|i\ was|we\ were|i\ have\ been)\ )?
          (?:given|provided|supplied|assigned)(?:\ here)?\ (?:is|was)\b(?P<later>.{{0,40}})
      | (?:{TASK}|class|category|label|answer|number|value|word)\ (?:assigned|given|attached|provided)\ (?:to|for|with)\ (?:the|this)
          \ (?:image|picture|photo\w*|scene|sample|example)\b
      | {META_WORD}\ (?:that\ )?(?:came|comes|coming)\ with\ (?:the|this|it)\b
      | (?:given|provided|supplied|assigned|listed|recorded)\ as\ (?:the|its|our)\ (?:{TRUE}\ ){{0,2}}(?:{META_WORD}|number|value|word)\b
      | given\ (?:the|this|that)\ (?:{TRUE}\ )?answer\b(?!\ (?:options?|choices?|is|must|list|set|format|space|line|box))
      | (?:expected|intended|desired|required|wanted|target|labell?ed|reference)\ (?:{TRUE}\ )?(?:label|answer|category|class)\b
      | (?:label|answer|category|class|classification|annotation|solution|response|verdict)\ (?:(?:that|which)\ )?
        (?:(?:is|was|were|has\ been|had\ been|i|we|you|i'm|i've|we've|you've|i\ am|i\ was|we\ are|we\ were|you\ have|we\ have)\ ){{0,3}}
        {_ADVERB}(?:given|provided|supplied|specified|handed|told|shown)
        (?!\ (?:the|that|how|what|all|these|this|my|such|so|by\ (?!the)|on))\b)"""
)
AS_LABELLED = _compiled(
    r"""\b(?:
        as\ (?:(?:it|this|already|was|is|has|been|the\ \w+)\ ){0,4}(?:labell?ed|annotated|tagged|classified|categori[sz]ed)\b
        (?!\ (?:on|in\ the\ (?:picture|image|diagram|figure|chart|map)|at|along|above|below|beside|near|with\ an?\ arrow))
      | (?:image|picture|photo|photograph|scene|sample|example|it|this|one|item|figure|which)[ ]
        (?:is|was|has\ been|had\ been|being|comes|came)\ (?:(?:already|clearly|officially|correctly|indeed)\ )?
        (?:labell?ed|annotated|tagged)\ (?:as\b|(?:with|under)\b(?P<said>.{1,30}))
      | (?:image|picture|photo|photograph|scene|sample|example|it|this)\ (?:is|was|has\ been)\ (?:\w+\ )?(?:listed|recorded|filed|sorted
          |assigned|classified|classed|categori[sz]ed|put|registered|stored)\ (?:as|under|to|into|in|with)\b(?P<filed>.{1,40})
      | (?:image|picture|photo|photograph|scene|sample|example)\ (?:is|was|has\ been)\ (?:marked|assigned(?:\ the\ \w+)?|given\ the\ \w+)
          (?P<marked>\ .{1,20})
      | (?:has|have|carries|bears|got|with|wears|comes\ with|given|received)\ the\ (?:label|tag|annotation)\b(?P<carried>.{1,30})
      | (?:those|whoever|people|person|persons|somebody|someone|one|humans|experts?)\ (?:who\ )?(?:\w+\ )?(?:annotated|labell?ed|tagged
          |rated)
          \ (?:this|it|the\ (?:image|picture|photo\w*|scene|sample))\b
      | (?:image|picture|photo|photograph|scene|sample|example|it|this|one)\ (?:is|was|has\ been|seems)\ (?:\w+\ )?
        (?:rightly|correctly|aptly|well|properly|accurately|rightfully|appropriately)\ (?:labell?ed|annotated|tagged)\b
      | (?:was|has\ been|had\ been)\ (?:classified|categori[sz]ed|marked)\ (?:as|under)\b
      | (?:labell?ed|annotated|tagged)\ (?:as\ )?(?:such|so|by\ (?:the\ )?(?:annotators?|humans?|people|raters?|experts?|dataset))\b)"""
)
PREMISE = _compiled(
    rf"""\b(?:
        (?:since|because|given|as|seeing|considering|knowing|granted|now)\b,?\ (?:that\ )?(?:i\ know\ |we\ know\ )?(?:that\ )?
        (?:the|its|this|our|an?)\ {_KNOWN}{META_WORD}(?:\ (?:here|for\ \w+\ \w+))?[ ]
        (?:is|was|{_SAYS}|must\ be|has\ to\ be|should\ be|being|turns\ out\ to\ be)\ (?P<said>.{{1,60}})
      | (?:since|because|given|as|seeing|considering|knowing|granted|but)\b,?\ (?:that\ )?(?:it|this|that|the\ \w+|what\ we\ see)[ ]
        (?:has\ to\ be|must\ be|is\ (?:known|supposed|said|meant|stated|given|declared)(?:\ to\ be|\ as)?)\ (?P<must>.{{1,40}})
      | the\ (?:true|actual|real|correct|right|known|official)\ \w+\ being\ (?P<being>.{{1,40}})
      | (?:since|because|considering|given|knowing|seeing)\ (?:that\ )?the\ (?:true|actual|real|correct|right
      |known)\ \w+\ is\ (?P<true>.{{1,40}})
      | (?:given|with|knowing|taking|accepting|assuming|trusting)\ (?:the|this|that)\ (?:{TRUE}\ ){{0,3}}{_LABEL}\b
      | (?:with|given|taking|accepting|assuming)\ (?P<as>[\w'\ -]{{1,40}}?)\ (?:as|being)\ (?:the|our)\ {_KNOWN}{META_WORD}\b)"""
)
LABEL_NAMES = _compiled(
    r"""\b(?:
        (?:the|this|its|my|our|that|a)\ (?:\w+\ ){0,2}label\b
      | label(?:l?ed|l?ing)\b
      | annotat(?:ion|ed)\b
      | tagged\b)"""
)
"""A label that is spoken of; a leak where the sentence names an answer and does not weigh labels."""
LABEL_WEIGHED = _compiled(
    r"""\b(?:
        (?:best|better|fitting|suitable|appropriate|which|what|likely|possible|candidate|other|another|own|plausible|right|first|second)
          \ (?:\w+\ )?label\b
      | labels\b
      | label\ (?:that\ )?(?:would|could|might|fits|seems)\b
      | is\ the\ label\ that\b
      | labels?\ (?:like|such\ as)\b
      | (?:does|do|would|did)(?:\ not|n't)\ (?:fit|match|suit)\b
      | (?:so|therefore|thus|hence|overall|finally|in\ conclusion|conclude\ that)\b[^.]{0,20}\blabel\ (?:is|should\ be|must\ be)\b
      | (?:can|could|may|might|would|should|to)\ be\ (?:labell?ed|tagged|annotated)\b)"""
)
"""A label that is chosen, not one that is known."""
LABEL_SAYS = _compiled(
    rf"""\b(?:the|its|this)\ {_KNOWN}(?P<what>{META_WORD})(?:\ (?:here|for\ \w+\ \w+|of\ \w+\ \w+))?\ (?P<verb>is|was|{_SAYS})\b
        (?P<said>.{{1,60}})"""
)
TOLD = _compiled(
    rf"""\b(?:
        (?:we|i|you)(?:\ (?:are|were|am|was|have|had)|'re|'ve|'m|'d)\ (?:been\ )?{_ADVERB}
        (?:told|informed|notified|shown|given|handed|provided\ with|supplied\ with)\b(?P<said>.{{1,120}})
      | (?:prompt|question|user|task|instructions?|system|problem|message|assignment|exercise)\ (?:ha(?:s|ve)\ )?{_ADVERB}
        (?:tells?|told|says?|said|states?|stated|gives?|gave|given|informs?|reveals?|revealed|specif(?:y|ies)|provides?|provided
          |mentions?|mentioned
          |indicates?|confirms?)\b(?P<told>.{{1,120}})
      | (?:stated|said|given|mentioned|written|provided|told|according\ to|from|in|by)\ (?:in\ |by\ |from\ )?(?:the|my|this)\ (?:\w+\ )?
        (?:prompt|instructions?|user|task\ description|system\ message)\b(?P<prompt>.{{1,100}})
      | (?:we|i)\ {_ADVERB}(?:know|knew)\ {_ADVERB}(?:from\ \w+\ \w+\ )?(?:that\ )?(?P<known>.{{1,100}}))"""
)
META = _compiled(rf"\b{META_WORD}\b")
TOLD_BY_THING = _compiled(
    r"""\s*by\ (?:the|a|an|its|his|her)\ (?!prompt|question|user|task|hint|dataset|annotat|instruct|system) | \s*to\b"""
)
TOLD_CHOICES = _compiled(r"\b(?:options|candidates|choices)\b")
"""What was told is no answer: a sign in the picture told it, or it is what to do, or the answers to choose from."""

_OF_HINT = r"(?:(?:given|provided|supplied|helpful|additional|extra|answer|correct)\ ){0,2}hint"
HINT = _compiled(
    rf"""\b(?:
        (?:the|this|my|your|our)\ {_OF_HINT}\b(?!\ (?:of|at)\b)
      | hints?\ (?:about|regarding|concerning|in|from)\b[^.]{{0,40}}\b(?:prompt|question|task|instructions?|user)\b
      | (?:the|this|that|your|its|any)\ {_OF_HINT}
        (?:,|\ (?:(?:that|which)\ (?:was|is|i|we|you)\ (?:given|provided|supplied|was|were|have|had|got|received)
           |says|said|states|stated|suggests|suggested|tells|told|indicates|indicated|points|gives|gave|was|given|provided|supplied
           |already|mentions|mentioned|names|named|confirms|leads|in\ the\ (?:prompt|question|task|instructions?)|here|above|itself)\b)
      | (?:based\ on|according\ to|following|from|using|per|by|with|trusting|taking|considering|given|follow|use|trust|rely\ on
          |relying\ on|agrees?\ with|match(?:es|ing)?|consistent\ with|in\ line\ with|fits|thanks\ to|without|ignoring|supports?
          |confirms?|by\ way\ of)\ (?:the|this|that|your)\ {_OF_HINT}\b(?!\ (?:of|at)\b)
      | (?:given|provided|supplied)\ (?:a\ |the\ )?hint\b
      | hint(?:ed)?\ (?:answer|label|category|class|solution|option|response|emotion)\b
      | as\ hinted\b(?!\ (?:at|by)\b)
      | hint\s*:\s)"""
)
GROUND_TRUTH = _compiled(
    rf"""\b(?:
        ground[-\ ]?truth\b
      | human\ (?:annotat|rat|label)\w+
      | gold(?:en|-standard)?[-\ ](?:label|answer|annotation|standard\ (?:label|answer))
      | standard\ answer\b
      | (?:according\ to|per|by|in|following|as|from)\ the\ (?:annotations?|dataset|data\ set|metadata|annotators?|raters?)\b(?!\ (?:on
          |of\ the\ (?:map|plan|figure|diagram)))
      | (?:reference|official|model|sample)\ (?:answer|label|solution|reasoning|annotation)\b
      | answer\ (?:key|sheet)\b(?!\ (?:on|lies|lying|beside|next|under|is\ (?:lying|on|visible|covered)|of\ the\ piano))
      | (?:dataset|data\ set|annotators?|raters?|metadata|corpus)(?:'s|s')?\ (?:{META_WORD}|tag|labels)\b
      | {META_WORD}\ (?:in|from|of|given\ by|provided\ by)\ (?:the\ )?
        (?:data\ ?set|annotators?|annotations?|data|metadata|file|raters?|corpus)\b
      | (?:annotators?|raters?|data\ ?set|metadata)\ (?:ha(?:s|ve)\ )?{_ADVERB}
        (?:chose|chosen|labell?ed|marked|agreed|said|assigned|picked|decided|tagged|rated|saw|felt|called|settled|voted|went|named
          |found|gave|put
          |recorded|judged|considered|perceived|has\ (?:it|this)|{_SAYS}|lists?|says?|give|mark)\b)"""
)
ANNOTATION_SAYS = _compiled(
    r"""\b(?:
        (?:annotations?|data|data\ ?set|metadata|gold(?:en)?(?:\ standard)?|reference|(?:solution\ |answer\ )?key|(?:solution|answer)\ sheet
          |corpus|file\ name|solution|answer\ file)\ (?:say|state|list|give|indicate|mark|confirm|show|tell|is|are|name|has|have|hold
          |record)s?\b(?P<said>.{1,60})
      | in\ the\ (?:data|corpus|file|key|(?:solution|answer)\ (?:key|sheet))\b(?P<in>.{1,60}))"""
)
JUSTIFIES = _compiled(
    r"""\b(?:
        (?:needs?|have|has|must|want|going|task|job|goal|aim|asked|supposed|try|trying|required|role|let\ me|let\ us|let's|i\ will|i'll
          |i\ shall|we\ will|i\ should|we\ should|i\ can|we\ can|am\ to|are\ to|remains|left\ is|in\ order|here\ is|now\ to|time\ to
          |(?:reasoning|explanation|argument|rationale)\ (?:should|must|has|needs)|\Ato)\b
        [^.]{0,30}?\b(?:justify|rationali[sz]e|explain(?:ing)?\ (?:why|how|the)|support|defend|argue|show\ (?:why|that|how)|motivate
          |back\ up
          |account\ for|(?:find|give|list|name|gather|collect|provide|write|build|make|construct|produce|come\ up\ with|look\ for
          |think\ of)
            \ [^.]{0,25}?(?:reasons?|evidence|support|clues|arguments?|case|reasoning|explanation|justification|plausible|convincing
             |details\ (?:that|which|to|for))
          |reasons\ (?:why|for)|make\b(?=[^.]{0,30}\b(?:plausible|convincing|credible|believable))|lead\ to|point\ (?:to|towards)
          |arrive\ at)\b
        (?P<what>.{1,120})
      | justif(?:y|ies|ying|ication\ (?:for|of))\ (?:the|this|that|such\ an?|our)\ (?:\w+\ )?(?:label|annotation|classification)\b
      | (?:explanation|justification|rationale|reasons?)\ (?:for|of|why)\ (?:the|this|that)\ (?:\w+\ )?
        (?:label|annotation|classification|answer)\b)"""
)
EXPLAINS = _compiled(
    r"""(?:
        (?:need|have|want|going|task|job|asked|supposed|am|is|must|should|will|to|me|us|let's|i'll|only|remains)\ (?:\w+\ ){0,2}?
          (?:explain|justify|rationali[sz]e|defend|motivate)\ (?:an?\ |the\ )?@
      | \bto\ (?:explain|justify|rationali[sz]e|defend|back\ up|support|argue\ for|motivate)\ (?:an?\ |the\ )?@
      | \b(?:could|can|would|might)\ (?:one\ |we\ |i\ |you\ )?(?:justify|defend|rationali[sz]e)\ (?:an?\ |the\ )?@
      | \b(?:let\ me|let\ us|let's|i\ will|i'll|how\ can|how\ could)\ (?:\w+\ )?(?:be\ )?(?:justif|rationali[sz])\w*(?=\ (?:this|it
          |that)\b|\Z)
      | \bhow\ (?:can|could|do|would)\ (?:\w+\ )?(?:be\ )?(?:justif|rationali[sz])\w*
      | \b(?:challenge|question|point|task|job|aim|goal|issue|problem)\ (?:here\ |now\ )?(?:is|was)\ (?:why\ (?:it|this)\ is
          |to\ (?:explain|justify|show|argue
          |defend)\b|how\ to\ (?:justify|explain|defend))[^.;]{0,60}@
      | \bwhy\ (?:is|would|should|was)\ (?:it|this|that|the\ \w+)\ (?:be\ |labell?ed\ )?(?:an?\ |the\ )?@
      | \bwhy\ (?:an?\ |the\ )?@\Z
      | \b(?:find|look\ for|search\ for|need|name)\ (?:something|anything|whatever)\ (?:that|which|to)\ [^.;]{0,25}@
      | \b(?:justification|rationale|reasons?|arguments?)\ for\ (?:an?\ |the\ )?@[^.;]{0,20}\b(?:needed|missing|required|must|could\ be
          |can\ be|has\ to)\b
      | \bjustification\ for\ (?:an?\ |the\ )?@
      | \bwhy\ did\ (?:they|the\ \w+)\ (?:choose|pick|say|give|see)\b
      | \bhere\ (?:is|are)\ (?:why|the\ reasons?)\b[^.;]{0,40}@
      | \b(?:see|think\ about|say|tell|now\ for|think\ of)\ (?:the\ )?(?:reasons?\ )?(?:why|what\ makes|for)\ (?:it\ |this\
          |the\ \w+\ )?(?:is\ |a\ case\ of\ )?(?:an?\ |the\ )?@
      | \b(?:need|want|gather|collect|look\ for|search\ for|require|give|name|list|find)\ (?:an?\ |some\ |more\ |good\
          |the\ )?(?:\w+\ )?(?:arguments?|evidence|justification
          |reasons?|support|backing|grounds)\ (?:for|of)\ (?:an?\ |the\ )?@
      | \bonly\ (?:have|need)\ to\ (?:explain|justify|show)\b)"""
)
"""The same, of a sentence in which the answer is written as "@"."""
THE_ANSWER = _compiled(rf"\b(?:the|this|that)\ {_KNOWN}(?:label|annotation|classification|answer|category|emotion|conclusion)\b")
BACKWARDS = _compiled(
    rf"""\b(?:
        (?:backwards?|in\ reverse|back)\ from\ (?P<from>.{{1,60}})
      | (?:start|starting|begin|beginning|go|going|set\ out|setting\ out|proceed|proceeding)\ (?:out\ )?(?:from|with)\ the\ (?:\w+\ )?
        (?:answer|label|conclusion|annotation)\b
      | (?:start|starting|begin|beginning|go|going|set\ out|setting\ out)\ (?:out\ )?from\ (?P<start>.{{1,40}})
      | (?:to|must|should|will|that)\ (?:gets?|reach|arrive\ at|obtain|land\ on|end\ (?:up\ )?(?:at|with|in)
          |come\ (?:to|out\ (?:at|as|to))|hit|produce|yield|lead\ to)\ (?:the|that|this|our)[ ]
        (?:{GIVEN}|{TRUE}|expected|desired|required|wanted|needed)\ (?:\w+\ )?
        (?:answer|label|result|value|number|total|conclusion|category|class)\b
      | (?:\Ato|in\ order\ to|so\ as\ to)\ (?:get\ (?:to|at)|reach|arrive\ at|land\ on|end\ (?:up\ )?(?:at|with|in)
      |come\ (?:to|out\ at)
          |conclude|obtain)\ (?P<toward>[^,;]{{1,40}})
      | so\ (?:that|as\ to)\b[^,;]{{0,60}}?\b(?:comes?\ out|ends?\ (?:up|at)|lands?|arrives?\ at|reach(?:es)?|gives?|leads?\ to
          |works?\ out)\b(?P<reach>.{{1,50}})
      | for\ the\ (?:answer|label|result|conclusion|category)\ to\ (?:be|come\ out\ as|become)\ (?P<to_be>.{{1,40}})
      | (?:target|goal|desired\ (?:answer|result|outcome)|end\ point|destination)\ (?:is|was|being)\ (?:to\ (?:reach|get
      |arrive\ at)\ )?(?P<target>.{{1,40}})
      | (?:knowing|already\ know(?:ing|n)?|aware|know\ in\ advance)\ (?:that\ )?(?P<known>[^,;]{{1,80}})
      | (?:must|has\ to|have\ to|needs\ to|need\ to|should|is\ (?:supposed|meant)\ to)\ (?:\w+\ )?(?:come\ (?:to|out)|end|add\ up\ to
          |lead\ to|arrive\ at|conclude|result\ in|reach|turn\ out)\b(?P<must>.{{1,50}}))"""
)
_NOT_KNOWING = (
    r"(?:did|do|does)(?:\ not|n't)\ (?:already\ )?(?:know|have)|had(?:\ not|n't)\ (?:seen|been|known)"
    r"|never\ (?:saw|seen|been|knew|had)"
)
CONCEALS = _compiled(
    rf"""\b(?:
        (?:not|never|cannot|without|avoid(?:ing)?|refrain(?:ing)?\ from|instead\ of|rather\ than)\ (?:\w+\ ){{0,3}}?
        (?:mention|reveal|say|let\ (?:on|slip)|disclos|show|refer|admit|giv(?:e|ing)\ away|quot|acknowledg|cit|allud|point)\w*\b
        (?P<what>[^.]{{0,90}})
      | \w{{1,8}}n't\ (?:mention|reveal|say|let\ on|disclose|show|refer|admit|give\ away|quote|acknowledge|cite)\b(?P<also>[^.]{{0,90}})
      | (?:i|we|me|us|let's|must|should|need\ to|have\ to|i'll|will|is\ to)\ (?:\w+\ ){{0,2}}?
        (?:pretend|act|write|reason|proceed|answer|behave|argue|speak|sound|explain|present)\b[^.]{{0,40}}?
        \b(?:{_NOT_KNOWING}|unaware|independent(?:ly)?|from\ scratch
           |(?:found|derived|discovered|reached|worked)\ \w+\ (?:\w+\ )?(?:myself|ourselves|alone|independently))\b
      | as\ (?:if|though)\ (?:i|we|one)\ (?:(?:did|do)(?:\ not|n't)|had(?:\ not|n't)|never|were\ (?:seeing|finding|unaware)|found
      |derived
          |discovered|only|had\ (?:only|just|found|worked|reached|derived))\b
      | (?:make|making)\ (?:it|this|the\ \w+|my\ \w+)\ (?:look|sound|seem|appear|read)\ (?:as\ (?:if|though)|like)\ (?:i|we|it|an?)\b
      | (?:write|act|reason|sound|argue|proceed|behave)\ (?:\w+\ )?(?:as\ (?:if|though)|like)\ (?:i|we|one)\b
      | keep(?:ing)?\ (?:the\ )?(?:\w+\ )?(?:hint|label|answer|annotation)\ (?:secret|hidden|to\ myself|out)\b
      | hid(?:e|ing)\ (?:the\ fact|that)\b[^.]{{0,40}}\b(?:know|knew|told|given|answer|label|hint)\b)"""
)
CONCEALED = _compiled(
    r"""\b(?:hint|label|annotation|(?:the|given|correct|known|true|right)\ answer|given\ (?:to|the|that)|(?:was|were|been)\ given|told
          |(?:i|we)\ (?:already\ )?(?:know|knew)|supplied|provided|in\ advance|beforehand)\b"""
)
OVERRULES = _compiled(
    rf"""\b(?:
        (?:would(?:\ have|'ve)?|i'd(?:\ have)?|i\ had|might\ have|was\ inclined|am\ inclined|tempted|on\ its\ own|left\ to\ myself
          |left\ to\ my\ own|by\ itself|taken\ alone|at\ face\ value|my\ (?:own|first)\ \w+|personally|honestly|evidence
          |(?:looks?|seems?|feels?)\ (?:more\ )?like|suggests?|points?\ (?:to|towards)|although|even\ though|despite|whatever
          |regardless)\b
        [^.]{{0,90}}?
        (?:\b(?:but|however|yet|though|still|nevertheless|nonetheless|although|except\ that)\b|[,;]\ (?:the|it|so|i|we)\b)\ ?[^.]{{0,30}}?
        (?:\b(?:label|annotation|classification|given\ answer|official\ answer)[ ]
             (?:is|was|{_SAYS}|must|demands|requires|insists|wants|calls|asks|prevails|decides|settles|has)
           |\b(?:answer|category|emotion|class|it)\ (?:(?:is|was)\ (?:given|marked|listed|set|fixed|supposed|said|meant|known|stated)\b
             |is\ to\ be\b)
           |\b(?:go|going|stick|side|settle|conform|comply|defer|align|agree|accept|follow|bow|yield)\ (?:\w+\ )?(?:with\ |to\ |for\ )?
             (?:the|what)\ (?:(?:{GIVEN}|{TRUE})\ ){{0,3}}(?:label|answer|annotation|i\ was|we\ were))
      | (?:overrid(?:es?|den\ by)|overruled?(?:\ by)?|overrules|defer(?:ring)?\ to|trumps?|set\ aside\ for)\b[^.]{{0,50}}
        \b(?:label|annotation|(?:given|correct|official|known)\ answer)\b
      | (?:i|we)\ (?:\w+\ ){{0,4}}?(?:follow|go\ (?:along\ )?with|stick\ (?:with|to)|trust|accept|adopt|obey|respect|use|keep\ to|defend)
          \ (?:the|this|that)\ (?:(?:{GIVEN}|{TRUE})\ ){{0,3}}(?:label|annotation)\b
      | (?:not|n't)\ (?:quite\ )?(?:what\ )?the\ (?:(?:{GIVEN}|{TRUE})\ ){{0,3}}(?:label|annotation)\b(?!\ (?:on|of|but|that|which|itself))
      | \A(?:but|however|still|yet|nevertheless)\b,?\ the\ (?:(?:{GIVEN}|{TRUE})\ ){{0,3}}(?:label|annotation)\ (?:is|{_SAYS})
      | (?:label|annotation)\b[^.]{{0,20}}
        \b(?:overrules?|overrides?|trumps|outweighs|takes\ precedence|prevails|has\ the\ last\ word)\b)"""
)
JUDGES = _compiled(
    r"""\b(?:
        (?:evok\w+|conve\w+|elicit\w+|express\w+|represent\w*|suggests?|exemplif\w+|embod\w+|belongs?\ to|falls\ (?:under|into)
          |best\ described|describes|illustrates?|clearly|obviously|certainly|definitely|undoubtedly|doubt|answer|correct|label
          |category|emotion
          |because|since|due\ to|for\ (?:several|these|the\ following|many|two|three)\ reasons?|as\ (?:shown|seen|evidenced|indicated
          |can\ be)
          |based\ on|equals?|must\ be|communicates?|captures?|radiates?|stems?\ from|comes\ from|arises|evident|obvious|apparent
          |unmistakabl\w+
          |reasons?\ (?:why|for)|makes?\ (?:this|it|the\ \w+))\b
      | (?:this|it|that|image|picture|photo|scene|\w+\ in\ (?:the|this)\ (?:image|picture|photo))\ (?:is|are|was)\b)"""
)
"""A first sentence with one of these and the answer states it as a judgement, not as something that is seen."""
NOT_JUDGED = _compiled(
    r"""\bthere\ (?:is|are|was)\ (?!no\ doubt)|\b(?:could|might|may|perhaps|possibly|whether|or|either|candidates?|seems?|appears?
      |first\ (?:impression|glance|sight|thought|guess)
          |not|at\ first|consider|question|asks?|if|would|likely|maybe|hypothesis|leaning|suspect|guess|check|let)\b|n't\b|\?"""
)
"""What makes a judgement a conjecture, or the question."""

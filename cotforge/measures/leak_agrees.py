"""The English words by which a reasoning finds that what it sees agrees with an answer that it was given."""

import re

from cotforge.measures.leak_patterns import GIVEN, META_WORD, TASK, TRUE

_ADVERBS = (
    r"(?:(?:also|therefore|thus|indeed|clearly|really|very|quite|fully|entirely|perfectly|well|nicely|exactly|precisely|closely|directly"
    r"|further|so|all|only|simply|completely|just|strongly|easily|both|again|certainly|surely|still|much)\ ){0,2}"
)
_LABEL = (
    rf"(?:(?:{TRUE}|{GIVEN}|{TASK}|expected|chosen|original|existing|attached|accompanying|human|number|value"
    rf"|word)\ ){{0,3}}(?:label(?:l?ing)?|annotation|classification|tag(?=\ \W?@))\b"
    r"(?!\s*:|\ (?:on|under|beside|above|below|in\ the\ (?:picture|image|diagram|figure)|of\ (?:the|a|an|my|your))\b)"
)
_NAMED = rf"(?:(?:{GIVEN}|expected|correct|true|actual|required|target|reference|labell?ed)\ ){{1,3}}(?:{META_WORD}|tag)\b"
_TOLD = rf"(?:(?:{GIVEN}|expected|reference|labell?ed|target)\ ){{1,3}}{META_WORD}\b"
_ASSIGNED = (
    r"(?:(?:assigned|annotated|designated|official|pre-?assigned|labell?ed)\ ){1,2}(?:number|value|word|result|count|total|name)\b"
    r"(?!\ (?:on|of|in|at))"
)
_LATER = (
    rf"(?:{META_WORD}|{TASK})\ (?:(?:that|which)\ )?(?:(?:is|was|were|has\ been|had\ been|i|we|i've|we've|am|are|have|had|been)\ ){{0,4}}"
    r"(?:given|provided|supplied|assigned|told|annotated|attached|know\ to\ be)\b(?!\ (?:in\ the\ (?:figure|picture|table|diagram"
    r"|image)|by|on|as|how|what))"
    rf"|(?:{META_WORD}|{TASK}|number|value|word)\ (?:in|of|from)\ the\ (?:label|annotation|prompt)\b"
)
_PEOPLE = r"annotators?\b"
_OF = (
    r"(?:(?:an?|the|this|that|its)\ )?(?:choice|idea|view|claim|accuracy|correctness|case|validity|plausibility|notion|conclusion"
    r"|assessment"
    r"|statement|assignment|use)\ (?:of|that|for|behind)\ (?:(?:the|this|that|its|such\ a)\ )?"
)
_WHAT = (
    r"what\ (?:(?:the|this)\ (?:\w+\ )?(?:label|annotation|answer|classification)\ (?:says|said|states|tells|claims|suggests|implies"
    r"|indicates"
    r"|demands|describes|calls)\b|(?:i|we)\ (?:was|were|am|are|have\ been|had\ been)\ (?:already\ )?(?:told|given|informed)\b"
    r"|was\ (?:given|told|stated|provided|supplied)\b(?=\ (?:as|to)\b|\Z|[.,;]))"
)
_GO_WITH = (
    r"(?:align|agree|accord|concur|square|tall(?:y|ie)|chime|dovetail|harmoni[sz]e|coincide|correspond|conform|cohere|sit|goe?|jibe"
    r"|resonate"
    r"|reconcile|conflict|clash|overlap|comport|correlate|compl(?:y|ie))(?:s|d|ed|ing)?\ (?:\w+\ ){0,2}?(?:with|to)"
)
_BE_WITH = (
    r"(?:consistent|congruent|consonant|compatible|aligned|identical|in\ (?:\w+\ )?(?:line|keeping|agreement|accord|accordance|conformity"
    r"|harmony|tune|step|sync|support|favou?r)|on\ a\ par|at\ odds|in\ conflict|coherent|true|faithful|the\ same)\ (?:with|to|as|of)"
)
_SUPPORT = (
    r"(?:speak|argue|count)s?\ (?:for|in\ favou?r\ of|to|against) | (?<!he\ )(?<!they\ )point(?:s|ing)?\ (?:directly\ )?(?:to|towards) "
    r"| leads?\ to"
    r" | (?:attests?|testif(?:y|ies))\ to | vouch(?:es)?\ for | (?:lend|give|add|provide|offer)s?\ (?:\w+\ ){0,2}(?:support|weight|credence"
    r"|strength|force|backing|credibility|evidence)\ (?:to|for) | (?:evidence|support|signs?|basis|foundation|grounds|reasons?|case"
    r"|explanation|arguments?|proof)\ (?:for|of|behind|against) | reason\ to\ (?:doubt|question|reject|dispute|change|challenge)"
    r" | objections?\ (?:to|against) | adds?\ up\ to | do(?:es)?\ justice\ to | liv(?:es?)\ up\ to | accounts?\ (?:well\ )?for"
    r" | makes?\ sense\ of | rings?\ true\ (?:with|to) | (?:match|fit)\ (?:for|with|to)"
)
_SUITS = rf"""(?:
    match(?:es|ing|ed)?(?:\ (?:up|well))?(?:\ with)? | fit(?:s|ting)?(?:\ (?:in|together|well|very\ well|nicely)){{0,2}}(?:\ with)?
      | suit(?:s|ing|ed)? | meets? | (?:merit|deserve|earn)(?:s|ed)? | satisf\w+ | equals?(?:\ to)? | confirm(?:s|ed|ing)?
      | support(?:s|ed|ing)? | corroborat\w+ | validat\w+ | explain(?:s|ing|ed)? | reinforc\w+ | verif\w+ | reflect(?:s|ing|ed)?
          | underlin\w+
      | underscor\w+ | underpin\w* | warrant(?:s|ed|ing)? | strengthen\w* | substantiat\w+ | bolster\w* | buttress\w* | prov(?:e|es|ed|ing)
      | demonstrat\w+ | justif(?:y|ies|ied) | contradict(?:s|ed|ing)? | echo(?:es|ed)? | mirror(?:s|ed)? | illustrat(?:e|es|ed)
      | backs?(?:\ up)? | bears?\ out | vindicat\w+ | (?:agree|show|mean|sure|convinced)s?\ that | {_GO_WITH} | {_BE_WITH} | {_SUPPORT})"""

AGREES = re.compile(
    rf"""\b(?:
        {_SUITS}\ {_ADVERBS}(?:with\ |that\ |why\ |how\ |to\ )?
        (?:(?:the|this|that|its|such\ a|our)\ (?:(?P<label>{_LABEL})|{_NAMED}|{_ASSIGNED}|{_LATER}|{_PEOPLE})|{_OF}(?:(?P<of>{_LABEL})
          |{_TOLD})|{_WHAT})
      | (?:exactly|precisely|just|the\ same\ as|is|was)\ {_WHAT}
      | (?:same\ (?:\w+\ )?as|just\ like|(?:no|little|any)\ doubt\ (?:about|of|as\ to)|(?:arrive|end\ up|land)\ at|end\ up\ with|indeed
          |brings?\ (?:me|us)\ to|come\ to
          |results?\ in|in\ the\ sense\ of|along\ the\ lines\ of|this\ is|that\ is|it\ is
          |which\ is)\ {_ADVERBS}the\ (?:(?P<as>{_LABEL})|{_TOLD})(?=\Z|[,;:]|\ (?:here|too|as\ well|has|had|says|that)\b)
      | supports?\ a\ (?P<an>label)\ of\b)""",
    re.VERBOSE,
)
"""What is seen agrees with the label. In `label`, `of` and `an` there is one that may be a thing in the picture."""

_IS = r"(?:is|was|seems|looks|appears|feels|sounds|remains|must\ be|proves|does\ seem|seems\ to\ be|appears\ to\ be)"
_SOUND = (
    r"(?:right|correct|accurate|apt|fitting|appropriate|plausible|reasonable|understandable|convincing|sound|valid|warranted|justified"
    r"|deserved|natural|believable|credible|beyond\ (?:doubt|question)|no\ surprise|suitable|sensible|spot[-\ ]on|(?:an?|the)\ (?:apt"
    r"|good|fitting"
    r"|right|correct|plausible|reasonable|sound|natural|suitable|sensible|accurate|perfect)\ (?:one|choice|description|summary|fit"
    r"|match)|not\ surprising)\b"
    r"(?!\ (?:beside|next|under|above|below|behind|on|at|in\ the|of|to\ the|for\ the|side|in\ front|here|between))"
)
_SUPPORTED = (
    r"(?:supported|backed(?:\ up)?|confirmed|borne\ out|reflected|explained|justified|underlined|evident|consistent\ with|in\ line\ with"
    r"|in\ keeping\ with|in\ agreement\ with|in\ accord(?:ance)?\ with|compatible\ with|well\ (?:chosen|deserved|founded|earned|justified"
    r"|supported|placed)|corroborated|validated|substantiated|warranted|what\ it\ is)\b"
)
_SEEN = (
    r"(?:\ (?:well|perfectly|exactly|nicely|closely|completely))?(?=\Z|,|;|\ (?:here|because|since|when|in\ view|given|for)\b"
    r"|(?:\ (?:in|with|to))?(?:\ well)?(?:\ with)?\ (?:what\ (?:i|we|is|can)|this(?:\ well)?(?:\Z|[,;]|\ (?:scene|image|picture|photo"
    r"|mood|impression))"
    r"|these|everything|all\ (?:of\ )?(?:this|these|that)|exactly\ this"
    r"|(?:my|the)\ (?:\w+\ )?(?:scene|image|picture|photo\w*|details?|evidence|cues?|clues?|mood|impressions?|observations?|facts?"
    r"|whole|posture"
    r"|reading|findings?|content|composition|expressions?)\b))"
)

HOLDS = re.compile(
    rf"""\b(?:
        (?:the|this|that|its|our)\ (?:(?P<label>{_LABEL})|{_TOLD})(?:\ (?:given|provided|here|itself|assigned|of\ \W?@
          |\W?@\W?))?\ {_ADVERBS}(?:
            {_IS}\ {_ADVERBS}(?:to\ be\ )?(?:{_SOUND}|{_SUPPORTED})
          | (?:fits|matches|agrees|suits|describes|captures|reflects|corresponds|coincides|expresses|sums\ up|tallies|squares|accords
              |conveys|summari[sz]es){_SEEN}
          | (?:applies|holds(?:\ (?:up|true|good))?|stands(?:\ (?:up|to\ reason))?|makes\ (?:\w+\ )?sense|rings\ true|follows|convinces
          |does\ justice
              |is\ confirmed)\b(?=\Z|,|;|\ (?:here|because|when|in|given|up|to\ a|for)\b)
          | (?:was|is|has\ been)\ (?:given|chosen|assigned|picked|attached|used)\ (?:for|with|on)\ (?:\w+\ )?(?:reasons?|grounds)\b
          | (?:says|means|expresses|states|tells)\ (?:exactly\ |just\ )?the\ same\b | checks\ out\b
          | (?:is|was|can\ be|could\ be)\ {_ADVERBS}(?:confirmed|verified|understood|agreed\ (?:with|to)|accepted|followed|traced
          |derived|explained)\b
          | came?\ about\b)
      | the\ (?:correct|true|actual)\ {META_WORD}\ is\ {_ADVERBS}{_SUPPORTED}
      | mak(?:es?|ing)\ (?:the|this)\ (?:(?P<made>{_LABEL})|{_TOLD})\ {_ADVERBS}(?:plausible|understandable|clear|convincing|credible
          |believable|reasonable
          |appropriate|natural|obvious|fitting)
      | (?:why|how|where|wonder(?:\ that)?|understandable\ that|surpris\w+\ that|understand|natural\ that)\ (?:it\ (?:was|got|is
          |has)\ (?:\w+\ )?)?
          (?:the|this|that|its)\ (?:(?P<why>{_LABEL})|{_TOLD}|answer\ (?:given|provided))(?=\Z|,|\ (?:is|was|has\ been|were|came|comes
          |fits|reads|says|applies)\b)
          (?!\ (?:is|was)\ (?:torn|on|wet|white|red|blue|green|black|old|missing|upside|hard|so|not|faded))
      | (?:reading|evidence|picture|image|scene|details?|count|result|impression|observations?|finding|answer|view|judgement
          |judgment)s?\ and\ the
          \ (?:(?P<both>{_LABEL})|{_TOLD})\ (?:\w+\ )?(?:match|agree|coincide|are\ (?:in\ agreement|consistent|the\ same|aligned
          |identical)|go\ together|fit|correspond|align)
      | prov(?:es?|ing)\ the\ (?P<proven>{_LABEL})\ (?:right|correct))""",
    re.VERBOSE,
)
"""The label holds. In groups with a name there is a label that may be a thing in the picture."""

"""The small words by which languages in Latin letters are told apart."""

from collections.abc import Mapping

SMALL_WORDS: Mapping[str, str] = {
    "en": "the of and to in is that it for was on are with as his they be at have this from or had by but what some we can out "
    "other were all there when up your how an each she which do their if will about then them would so these her him has "
    "more could no most who its now than been not here only into very just where against between because while both does i",
    "de": "der die das und ist nicht ein eine einen einem einer den dem des im zu mit für auf auch es sich von sie ich wird wirkt "
    "sind aus noch nur aber wie man kann kein keine keinen sehr dass oder bei nach über einmal werden wenn "
    "bild person links rechts hintergrund licht farbe farben scheint sieht können hier dort vor zwischen mehr immer",
    "fr": "le la les des une un est et que qui dans pour pas sur au aux avec ce cette ces il elle on ne se du de plus sont par "
    "mais ou son sa ses aussi encore y n'y l'on c'est qu'il aucune "
    "image personne gauche droite fond lumière couleur couleurs semble voit peut être fait comme très bien entre vers ici",
    "es": "el la los las una un es y que en de del no se por con para su sus al lo como más pero está hay también muy este esta "
    "eso o hacia sin vez ninguna "
    "imagen persona izquierda izquierdo derecha fondo luz color colores parece veo puede ser tiene desde entre aquí hace cuando",
    "it": "il lo la gli le una un è e che di del della dei nel nella con per non si sono anche più ma come questo questa al alla "
    "dal da su ancora verso volta "
    "immagine persona sinistra destra sfondo luce colore colori sembra vede può essere molto qui",
    "pt": "o os as uma um é e que de do da dos das em no na não se por com para seu sua mais mas como está também isso esta este "
    "ao vou nenhuma outra vez "
    "imagem pessoa esquerda direita fundo luz cor cores parece vê pode ser muito aqui",
    "nl": "de het een en is niet van dat op te in met voor zijn er aan ook als maar dit die naar nog bij om uit je ik geen wordt "
    "worden kan anders keer "
    "beeld persoon links rechts achtergrond licht kleur lijkt ziet zijn heel hier",
    "pl": "nie się jest na że to do w z i jak po co tak ale czy od za przez dla są jeszcze też widać raz nikt ma żeby inaczej patrzę "
    "obraz osoba lewa lewej prawa tło światło kolor wydaje może być bardzo tutaj",
    "id": "yang dan di itu ini dengan untuk tidak dari ke pada adalah ada saya juga akan sekali lagi orang hal jelas selain tersebut "
    "gambar kiri kanan latar belakang cahaya warna terlihat dapat sangat sini",
    "tr": "bir ve bu için de da ile çok daha ne gibi olarak olan değil var ama kadar ki ayr\u0131ca a\u00e7\u0131k\u00e7a görülüyor "
    "ilk kimsenin "
    "resim kişi sol sağ arka renk görünüyor olabilir burada",
    "vi": "và là của có không cho được một các những trong với này đó khi ra người điều thấy rõ vào ngoài nhìn ai "
    "ảnh hình bên trái phải nền sáng màu thể rất",
    "sv": "och att det som en på är av för med den till inte om ett han men var jag sig från vi så kan nu också när eller bara mycket "
    "bild person vänster höger bakgrund ljus färg verkar ser här",
}
"""By language tag: articles, pronouns, prepositions and the like."""
ALSO_ENGLISH = (
    "die des den dem man war also in an on so no me do as o a i e y son sale sin par pour plus come dare van per men de la el al di da"
    " un ma un ten at is was by il le las los una or y vi w z om als er te je kan ne ki var ada di"
    " person links fond image color sol arka ser fundo persona plan bild can"
)
"""Words of other languages that are English ones too, or parts of names."""
FOREIGN = frozenset(" ".join(SMALL_WORDS.values()).split()) - frozenset(SMALL_WORDS["en"].split()) - frozenset(ALSO_ENGLISH.split())
"""Small words that an English text has only where it changes its language, or quotes."""

"""Media in pages: every way of showing a picture that pages have been seen to use."""

from __future__ import annotations

import csv

import pytest

from shared.media.html.contents import MediaKind, MediaPlace, PageContents
from shared.media.html_media import read_page
from tests.unit.shared.media.html_page import DATA, read


def urls_of(contents: PageContents) -> list[str]:
    """Everything that the page leads to, `data:` for what it holds itself."""
    refreshed = [contents.refresh_url] if contents.refresh_url else []
    held = [f"data:{one.content_type}" for one in contents.inline]
    return [*(one.url for one in contents.media), *contents.frames, *refreshed, *held]


def cases_not_found_once() -> list[tuple[str, str, str]]:
    with (DATA / "pictures-not-found.tsv").open(newline="") as lines:
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(case, html.strip("'"), wanted) for case, html, wanted in list(rows)[1:]]


@pytest.mark.parametrize(("case", "html", "wanted"), cases_not_found_once())
def test_pictures_that_were_not_found_once(case: str, html: str, wanted: str) -> None:
    assert any(wanted in url for url in urls_of(read(html))), case


SHOWN = {
    "srcset": [
        "<img srcset='/real.jpg'>",
        "<img srcset=' , /real.jpg 2x ,'>",
        "<img srcset='/no.jpg 1x, /real.jpg'>",
        "<img srcset='data:image/gif;base64,R0lGOD,/x== 1x, /real.jpg 2x'>",
        "<img srcset='/no.jpg (a, b) 2x, /real.jpg 1x'>",
        "<img srcset='/real,w_300,h_200/a.jpg 300w,/b.jpg 9w'>",
        "<img srcset='/decoy.jpg 9999w, /real.jpg 300w'>",
        "<img srcset='/real.jpg 1q'>",
        "<picture><source media='(min-width: 1px)' srcset='/real'><img></picture>",
        "<source srcset='/a.jpg 1x,https://cdn.test/real.jpg 2x'>",
    ],
    "lazy": [
        "<img data-srcset='/real 2x'>",
        "<img data-lazy-srcset='/a.jpg 1w, /real.jpg 2w'>",
        "<div data-bgset='/real.jpg [--small] | /b.jpg'></div>",
        "<div data-background-image='url(/real)'></div>",
        "<div data-bg='url(\"/real.jpg\")'></div>",
        "<img data-original=/img?id=real>",
        '<div data-images=\'["\\/a.jpg","\\/real.jpg"]\'></div>',
        '<div data-settings=\'{"photo":{"src":"https:\\/\\/cdn.test\\/real.webp"}}\'></div>',
        "<img zoomfile=/real.jpg file=/b.jpg>",
        "<img :src=\"'/real.png'\">",
        "<img v-lazy='/real.png'>",
        "<my-photo data-image=/real></my-photo>",
        "<li data-anything-at-all=/real.jpeg?w=100></li>",
        "<a onclick=\"window.open('/real.jpg')\">x</a>",
        "<img lowsrc=/real.gif>",
        "<div data-html='<img src=/real>'></div>",
        "<amp-img src=/real></amp-img>",
        "<noscript><img src=/real></noscript>",
        "<noscript data-slimmage><p><picture><source srcset=/real></picture></p></noscript>",
    ],
    "film": [
        "<video src=/real></video>",
        "<video><source src=/real></video>",
        "<video data-src=/real.mp4></video>",
        "<video poster=/real></video>",
        "<video><p><source type=video/webm src=/real></video>",
        "<meta property=og:video content=/real>",
        "<meta property=og:video:url content=https://cdn.test/real>",
        "<a href=/real.m3u8>x</a>",
        "<audio src=/real.mp4></audio>",
        "<link rel=preload as=video href=/real>",
        "<amp-video><source src=/real.mp4></amp-video>",
    ],
    "declared": [
        "<meta name=og:image content=/real>",
        "<meta property=' OG:Image:Secure_URL ' content=' /real '>",
        "<meta name=twitter:image:src content=/real>",
        "<meta name=anything content=https://cdn.test/real.jpg>",
        "<meta itemprop=image content=/real>",
        "<img itemprop='image primaryImageOfPage' data-x=1 src=/real>",
        "<span itemprop=thumbnailUrl content=/real>",
        "<a itemprop=contentUrl href=/real>x</a>",
        "<link rel=image_src href=/real>",
        "<link rel='preload' as=image href=/real>",
        "<link rel=prefetch href=/real.webp>",
        "<meta name=twitter:player content=/real>",
    ],
    "json": [
        '<script type="application/ld+json">{"image":{"@type":"ImageObject","url":"/real"}}</script>',
        '<script type="application/ld+json">[{"@graph":[{"thumbnailUrl":["/real"]}]}]</script>',
        '<script type="application/ld+json">{"contentUrl":"https:\\/\\/cdn.test\\/real"}</script>',
        '<script type="application/ld+json">{"embedUrl":"https://player.test/real"}</script>',
        '<script type="application/ld+json">{"image":"https://cdn.test/real.jpg",}</script>',  # broken
        '<script type="application/ld+json"><!-- {"image":"/real"} --></script>',
        '<script id="__NEXT_DATA__">{"a":[{"b":{"body":"<p><img src=\\"/real\\"></p>"}}]}</script>',
        '<script type="application/json">{"x":"https://cdn.test/a/real.mp4?sig=1"}</script>',
        '<script>window.__INITIAL_STATE__={"u":"https:\\u002F\\u002Fcdn.test\\u002Freal.jpg"}</script>',
        '<script>self.__next_f.push([1,"{\\"src\\":\\"/real.jpg\\"}"])</script>',
        "<script>var pics = ['a.jpg', 'real.jpg'];</script>",
        '<script type="text/x-handlebars-template"><img src=/real></script>',
        "<textarea><img src='https://site.test/real.jpg'></textarea>",
        "<input readonly value=https://site.test/real.jpg>",
    ],
    "embedded": [
        "<object data=/real></object>",
        "<object data=/real type=image/webp></object>",
        "<object><param name=movie value=/real.flv></object>",
        "<embed src=/real type=video/mp4>",
        "<embed src=/real>",
        "<iframe src=/real></iframe>",
        "<iframe data-src=/real></iframe>",
        "<iframe srcdoc='<img src=/real>'></iframe>",
        "<iframe srcdoc='<iframe srcdoc=&quot;&lt;img src=/real&gt;&quot;></iframe>'></iframe>",
        "<iframe src='data:text/html,<img src=/real>'></iframe>",
        "<iframe src='data:text/html;base64,PGltZyBzcmM9aHR0cHM6Ly9jZG4udGVzdC9yZWFsPg=='></iframe>",
        "<object data='data:text/html,%3Cimg%20src=/real%3E'></object>",
        "<frameset><frameset><frame src=/real></frameset></frameset>",
        "<svg><image href=/real /></svg>",
        "<svg><image xlink:href=/real /></svg>",
        "<svg><filter><feImage href=/real></filter></svg>",
        "<image src=/real>",
        "<input type=IMAGE src=/real>",
    ],
    "css": [
        "<p style='background:url(/real)'>",
        "<p style=\"background-image:url('/real')\">",
        "<p style='background:\\75 rl(/real)'>",
        "<p style='background:url(\\2f real)'>",
        "<p style='content:URL( /real )'>",
        "<p style='--x:url(/real)'>",
        '<p style=\'background:image-set("/real" 1x, "/b" 2x)\'>',
        "<p style='background:-webkit-image-set(url(/real) 1x)'>",
        "<style>@media (min-width:1px){@supports(a:b){.a{background:red url(/real) no-repeat}}}</style>",
        "<style><!-- .a{background:url(/real)} --></style>",
        "<style>/* } */ .a{background:url(/real)</style>",
        "<svg><style>.a{fill:url(/real)}</style></svg>",
        "<body background=/real>",
        "<th background=/real>",
        "<style>.a{mask:src('/real')}</style>",
    ],
    "link": [
        "<a href=/real.JPG?size=big>x</a>",
        "<a href=/real.jpg!w640>x</a>",
        "<a href='/real.png@webp'>x</a>",
        "<area href=/real.webp>",
        "<a href='/view?file=real.jpeg&x=1'>x</a>",
        "<a href=/real.heic>x</a>",
        "<a href=/real.avif#top>x</a>",
        "<a href=/get/real download=holiday.jpg>x</a>",
        "<a data-fancybox href=/real>x</a>",
        "<a class='img lightbox' href=/real>x</a>",
    ],
    "document": [
        "<template><img src=/real></template>",
        "<div><template shadowrootmode=open><img src=/real></template></div>",
        "<template><template><img src=/real></template></template>",
        "<svg><title><img src=/real></title></svg>",
        "<svg><style><img src=/real></style></svg>",
        "<math><title><![CDATA[><!--]]></title></math><img src=/real>",
        "<svg><![CDATA[><!--]]></svg><img src=/real>",
        "<svg><script></svg><img src=/real>",
        "<table><img src=/real>",
        "<select><img src=/real>",
        "<!-- > --><img src=/real>",
        "<!--><img src=/real>",
        "<!DOCTYPE html><?php echo 1 ?><img src=/real>",
        "<p\0><img/src=/real>",
        "</p><img\nsrc\n=\n'/real'\n>",
        "<img src=/real src=/no>",
        "<img src='\t/re\nal '>",
        "<img src='//cdn.test/real'>",
        "<xmp><!-- </xmp><img src=/real>",
    ],
    "refresh": [
        "<meta http-equiv=Refresh content='0; URL=/real'>",
        "<meta http-equiv=refresh content=\"3;url='/real'\">",
        "<meta http-equiv=refresh content='0,/real'>",
        "<meta http-equiv=refresh content='.5 ;  url  =  /real'>",
        "<meta http-equiv=refresh content='0;/real'>",
        "<meta content='1;url=\"/real\" x' http-equiv=refresh>",
    ],
    "inline": [
        "<img src='data:image/png;base64,iVBORw0KGgo='>".replace("png", "real"),
        "<img data-src='data:image/real;base64,AAAA'>",
        "<p style='background:url(data:image/real;base64,AAAA)'>",
        "<img srcset='data:image/real;base64,AAAA 1x'>",
        "<video poster=' DATA:image/real;charset=x;BASE64,AA%41A '></video>",
        "<a href='data:image/real,abc'>x</a>",
        "<svg><image href='data:image/real;base64,AAAA'/></svg>",
        "<object data='data:image/real;base64,AAAA'></object>",
        "<img src='data:image/svg+xml,<svg><image href=\"/real\"/></svg>'>",
        "<link rel=stylesheet href='data:text/css,a{background:url(/real)}'>",
    ],
}


@pytest.mark.parametrize(("kind", "html"), [(kind, html) for kind, pages in SHOWN.items() for html in pages])
def test_media_are_found_however_they_are_shown(kind: str, html: str) -> None:
    assert any("real" in url for url in urls_of(read(html)))


@pytest.mark.parametrize(
    "html",
    [
        "<!-- <img src=/no.jpg> -->",
        "<title><img src=/no.jpg></title>",
        "<p class=x.jpg id=/no.jpg alt=/no.jpg title=/no.jpg>",
        "<a href=/page.html>x</a>",
        "<style>@font-face{src:url(/font.woff2)} a{fill:url(#local)}</style>",
        "<link rel=icon href=/favicon>",
        "<img src=about:blank><img src=mailto:a@b.jpg>",
        "<audio src=/song><source src=/song.mp3></audio>",
        "<script>var a = formats.webp, b = x.png</script>",
        "<img src='data:,'>",
        "<img src='http://user:pw@site.test/x.jpg'>",
        "<img src='http://[x.jpg'>",
    ],
)
def test_what_shows_nothing_gives_nothing(html: str) -> None:
    assert urls_of(read(html)) == []


@pytest.mark.parametrize(
    ("html", "posters"),
    [
        ("<video poster=/p.jpg src=/v.mp4></video>", {"/p.jpg": ("/v.mp4",)}),
        ("<video poster=/p.jpg><source src=/v.webm><source src=/v.mp4></video>", {"/p.jpg": ("/v.webm", "/v.mp4")}),
        ("<video poster=/p.jpg></video><video src=/other.mp4></video>", {"/p.jpg": ()}),
        ("<video poster=/p.jpg src=blob:x></video><img src=/i.jpg>", {"/p.jpg": ()}),
        ("<meta property=og:image content=/p.jpg><meta property=og:video content=/v.mp4>", {"/p.jpg": ("/v.mp4",)}),
        ("<meta property=og:image content=/p.jpg><video src=/v.mp4></video>", {}),
        ("<amp-video src=/v.mp4 poster=/p.jpg></amp-video>", {"/p.jpg": ("/v.mp4",)}),
        (
            '<script type="application/ld+json">{"@type":"VideoObject","thumbnailUrl":"/p.jpg","contentUrl":"/v.mp4"}'
            "</script>",
            {"/p.jpg": ("/v.mp4",)},
        ),
        ("<img src=/p.jpg><video poster=/p.jpg src=/v.mp4>", {"/p.jpg": ("/v.mp4",)}),
    ],
)
def test_a_poster_belongs_to_its_film(html: str, posters: dict[str, tuple[str, ...]]) -> None:
    site = "https://site.test"
    found = {one.url.removeprefix(site): one.poster_of for one in read(html).media if one.poster_of is not None}
    assert found == {url: tuple(site + film for film in films) for url, films in posters.items()}


def test_media_come_in_document_order_with_kind_and_place() -> None:
    contents = read(
        "<a href=/linked.jpg><img srcset='/small 1w, /large 2w'></a><video src=/film></video><embed src=/thing>"
        "<meta property=og:image content=/declared><img src=/linked.jpg>"
    )
    assert [(one.url.rpartition("/")[2], one.kind, one.place) for one in contents.media] == [
        ("linked.jpg", MediaKind.PICTURE, MediaPlace.SHOWN),
        ("large", MediaKind.PICTURE, MediaPlace.SHOWN),
        ("small", MediaKind.PICTURE, MediaPlace.ALTERNATIVE),
        ("film", MediaKind.VIDEO, MediaPlace.SHOWN),
        ("thing", MediaKind.UNKNOWN, MediaPlace.SHOWN),
        ("declared", MediaKind.PICTURE, MediaPlace.DECLARED),
    ]
    assert contents.most_telling(1)[0].url.endswith("/declared")
    assert contents.whole


@pytest.mark.parametrize(
    ("html", "wanted"),
    [
        ("<base href=/deep/><img src=a>", ["/deep/a"]),
        ("<img src=a><base href=/deep/>", ["/deep/a"]),
        ("<base target=_top><base href=/deep/><base href=/no/><img src=a>", ["/deep/a"]),
        ("<base href='javascript:x'><img src=a>", ["/gallery/a"]),
        ("<base href='http://['><img src=a>", ["/gallery/a"]),
        ("<template><base href=/no/></template><img src=a>", ["/gallery/a", "/no/a"]),
        ("<svg><base href=/no/></svg><base href=/deep/><img src=a>", ["/deep/a", "/no/a"]),
        ("<base href='//site.test/x/'><img src=a>", ["/x/a"]),
    ],
)
def test_relative_urls_are_of_the_base(html: str, wanted: list[str]) -> None:
    assert [one.url.removeprefix("https://site.test") for one in read(html).media] == wanted


def test_style_sheets_are_resources_of_a_page_and_pages_of_pictures() -> None:
    contents = read("<link rel='alternate stylesheet' href=/a.css><style>@import '/b.css'; @import url(/c.css)</style>")
    assert [url.rpartition("/")[2] for url in contents.stylesheets] == ["a.css", "b.css", "c.css"]
    sheet = read_page(b"@import 'd.css'; a{background:url(img/real.jpg)}", "text/css", "https://site.test/css/a.css")
    assert sheet.stylesheets == ("https://site.test/css/d.css",)
    assert [one.url for one in sheet.media] == ["https://site.test/css/img/real.jpg"]

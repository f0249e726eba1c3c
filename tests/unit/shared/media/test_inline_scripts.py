"""A script is a script wherever it stands: handlers and `javascript:` URLs count as `<script>` does."""

from __future__ import annotations

import pytest

from tests.unit.shared.media.html_page import read

RUN = (
    "<body onload=a()>",
    "<img src=x onerror=a()>",
    "<svg OnLoad='a()'></svg>",
    "<style onload=a()></style>",
    "<button onclick='a()'>x</button>",
    "<details ontoggle=a()>",
    "<x-y onpointerenter=a()>",
    "<link rel=stylesheet href=/a.css onload=a()>",
    "<a href=javascript:a()>x</a>",
    "<a href=' \x01JavaScript:a()'>x</a>",
    "<a href='java\tscr\nip\rt:a()'>x</a>",
    "<a href='java&#x9;script&colon;a()'>x</a>",
    "<area href=javascript:a()>",
    "<iframe src=\"javascript:'<img>'\"></iframe>",
    "<frame src=javascript:a()>",
    "<embed src=javascript:a()>",
    "<object data=javascript:a()></object>",
    "<form action=javascript:a()></form>",
    "<button formaction=JAVASCRIPT:a()>x</button>",
    "<input type=submit formaction=javascript:a()>",
    "<svg><a xlink:href=javascript:a()><text>x</text></a></svg>",
    "<svg><a><set attributeName=href to=javascript:a() /></a></svg>",
    "<svg><a><animate attributeName=href values='#; javascript:a()'/></a></svg>",
    "<iframe srcdoc='<p onclick=a()>x</p>'></iframe>",
    "<iframe src='data:text/html,<body onload=a()>'></iframe>",
)
DO_NOT = (
    "<a href=/javascript:a()>x</a>",
    "<a href=https://site.test/javascript:>x</a>",
    "<a href=#javascript:>x</a>",
    "<a href='java script:a()'>x</a>",
    "<a title='javascript: the good parts' href=/book>x</a>",
    "<p data-onclick=a() one=1 on=1>x</p>",
    "<p onclick=''>x</p>",
    "<p onclick>x</p>",
    "<p>onclick=a() javascript:a()</p>",
    "<!-- <p onclick=a()> -->",
    "<noscript><p onclick=a()></noscript>",
)


@pytest.mark.parametrize("page", RUN)
def test_what_runs_a_script_counts_as_one(page: str) -> None:
    assert read(page).signs.scripts == 1


@pytest.mark.parametrize("page", DO_NOT)
def test_what_runs_none_does_not(page: str) -> None:
    assert read(page).signs.scripts == 0

# ruff: noqa: E501 - a page stands on a line
"""Pages that show a person the picture, in every way a page can: drawn by markup, style, script, canvas, frame or shadow tree, or only
after scrolling. Each is the body of `http://site.test/…`. Tests and the bench of looks read the same tables.
"""

from __future__ import annotations

import base64

from tests.browser.look_world import SOUGHT, Internet, answer

DATA_URL = "data:image/png;base64," + base64.b64encode(SOUGHT).decode()
SIZE = "width:480px;height:360px"
DRAW = "const i=new Image();i.onload=()=>{const c=document.querySelector('canvas');c.width=480;c.height=360;%s};i.src='/sought.png'"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="480" height="360"><image %s width="480" height="360"/></svg>'

IMAGES = {
    "plain": "<img src=/sought.png>",
    "other host": "<img src=http://cdn.test/sought.png>",
    "data": f'<img src="{DATA_URL}">',
    "srcset": '<img srcset="/sought.png 1x, /other.png 2x" src=/other.png>',
    "picture": '<picture><source media="(min-width: 600px)" srcset=/sought.png><img src=/other.png></picture>',
    "lazy attribute": "<img id=i data-src=/sought.png><script>setTimeout(()=>i.src=i.dataset.src,200)</script>",
    "script": "<p id=p></p><script>p.append(Object.assign(new Image(),{src:'/sought.png'}))</script>",
    "fetched blob": "<img id=i><script>fetch('/sought.png').then(r=>r.blob()).then(b=>i.src=URL.createObjectURL(b))</script>",
    "scrambled": "<img id=i><script>fetch('/scrambled').then(r=>r.arrayBuffer()).then(b=>{i.src=URL.createObjectURL(new Blob([new Uint8Array(b).map(x=>x^85)]))})</script>",
    "input": "<input type=image src=/sought.png>",
    "drawn smaller": "<img src=/sought.png width=200 height=150>",
    "cover of a square": '<img src=/sought.png style="width:480px;height:360px;object-fit:cover">',
    "contained": '<img src=/sought.png style="width:900px;height:360px;object-fit:contain;background:red">',
    "object": "<object data=/sought.png type=image/png></object>",
    "embed": "<embed src=/sought.png type=image/png width=480 height=360>",
    "noscript is not shown": "<noscript><img src=/other.png></noscript><img src=/sought.png>",
    "attached shadow": "<div id=d></div><script>d.attachShadow({mode:'open'}).innerHTML='<img src=/sought.png>'</script>",
}
BACKGROUNDS = {
    "attribute": f'<div style="{SIZE};background:url(/sought.png)"></div>',
    "style sheet": f"<style>.a{{{SIZE};background-image:url(/sought.png)}}</style><div class=a></div>",
    "imported": "<link rel=stylesheet href=/a.css><div class=b></div>",
    "before": f'<style>p::before{{content:"";display:block;{SIZE};background:url(/sought.png)}}</style><p></p>',
    "content": "<style>#c{content:url(/sought.png)}</style><span id=c></span>",
    "content after": "<style>#c::after{content:url(/sought.png);display:inline-block;vertical-align:top}</style><p id=c></p>",
    "variable": f"<style>:root{{--p:url(/sought.png)}}div{{{SIZE};background:var(--p)}}</style><div></div>",
    "image-set": f'<div style="{SIZE};background-image:image-set(url(/sought.png) 1x)"></div>',
    "table cell": f'<table><tr><td background=/sought.png style="{SIZE};padding:0"></td></tr></table>',
    "body": f'<body style="margin:0;{SIZE};background:url(/sought.png) no-repeat">',
    "border": f'<div style="box-sizing:border-box;{SIZE};border:0 solid;border-image:url(/sought.png) 0 fill"></div>',
    "scaled": '<div style="width:240px;height:180px;background:url(/sought.png) 0 0/100% 100%"></div>',
    "script": f"<div id=d style='{SIZE}'></div><script>setTimeout(()=>d.style.backgroundImage='url(/sought.png)',150)</script>",
}
CANVASES = {
    "whole": f"<canvas></canvas><script>{DRAW % 'c.getContext(`2d`).drawImage(i,0,0)'}</script>",
    "in tiles": "<canvas></canvas><script>"
    + DRAW
    % "const x=c.getContext(`2d`);for(let a=0;a<4;a++)for(let b=0;b<4;b++)x.drawImage(i,a*120,b*90,120,90,a*120,b*90,120,90)"
    + "</script>",
    "bitmap": "<canvas></canvas><script>"
    + DRAW % "createImageBitmap(i).then(b=>c.getContext(`bitmaprenderer`).transferFromImageBitmap(b))"
    + "</script>",
    "pixels": "<canvas></canvas><script>"
    + DRAW
    % "const o=new OffscreenCanvas(480,360),y=o.getContext(`2d`);y.drawImage(i,0,0);c.getContext(`2d`).putImageData(y.getImageData(0,0,480,360),0,0)"
    + "</script>",
    "tainted": "<canvas width=480 height=360></canvas><script>const i=new Image();i.onload=()=>document.querySelector('canvas').getContext('2d').drawImage(i,0,0);i.src='http://cdn.test/sought.png'</script>",
}
SVGS = {
    "image": SVG % 'href="/sought.png"',
    "xlink": SVG % 'xlink:href="/sought.png"',
    "file": "<img src=/inline.svg width=480 height=360>",
    "pattern": '<svg width=480 height=360><pattern id=p width=1 height=1><image href=/sought.png width=480 height=360 /></pattern><rect width=480 height=360 fill="url(#p)"/></svg>',
    "foreign": '<svg width=480 height=360><foreignObject width=480 height=360><img xmlns="http://www.w3.org/1999/xhtml" src="/sought.png" style="display:block"/></foreignObject></svg>',
    "use": '<svg width=0 height=0><symbol id=s viewBox="0 0 480 360"><image href=/sought.png width=480 height=360 /></symbol></svg><svg width=480 height=360><use href=#s /></svg>',
}
FRAMES = {
    "same host": "<iframe src=/framed width=600 height=500></iframe>",
    "other host": "<iframe src=http://other.test/framed width=600 height=500></iframe>",
    "in a frame of another": "<iframe src=http://other.test/outer width=700 height=600></iframe>",
    "sandboxed": "<iframe sandbox src=http://other.test/framed width=600 height=500></iframe>",
    "srcdoc": '<iframe srcdoc="<img src=/sought.png>" width=600 height=500></iframe>',
    "by script": "<script>setTimeout(()=>{const f=document.createElement('iframe');f.width=600;f.height=500;f.src='http://other.test/framed';document.body.append(f)},200)</script>",
    "the picture itself": "<iframe src=/sought.png width=600 height=500></iframe>",
    "frameset": "<html><frameset cols=*><frame src=http://other.test/framed></frameset></html>",
    "below": "<p style=height:3000px>far</p><iframe loading=lazy src=http://other.test/framed width=600 height=500></iframe>",
}
SHADOWS = {
    "open": "<div id=d></div><script>d.attachShadow({mode:'open'}).innerHTML='<img src=/sought.png>'</script>",
    "closed": "<div id=d></div><script>d.attachShadow({mode:'closed'}).innerHTML='<img src=/sought.png>'</script>",
    "declared closed": "<div><template shadowrootmode=closed><img src=/sought.png></template></div>",
    "element": "<script>customElements.define('x-p',class extends HTMLElement{connectedCallback(){this.attachShadow({mode:'closed'}).innerHTML=`<style>:host{display:block;width:480px;height:360px;background:url(/sought.png)}</style>`}})</script><x-p></x-p>",
    "nested": "<div id=d></div><script>const s=d.attachShadow({mode:'closed'});s.innerHTML='<p></p>';s.firstChild.attachShadow({mode:'closed'}).innerHTML='<img src=/sought.png>'</script>",
    "slot": "<div id=d><img src=/sought.png></div><script>d.attachShadow({mode:'closed'}).innerHTML='<slot></slot>'</script>",
}
FAR = "<p style=height:4000px>far</p>"
SCROLLED = {
    "far down": f"{FAR}<img src=/sought.png>",
    "lazy": f"{FAR}<img loading=lazy width=480 height=360 src=/sought.png>",
    "observer": f"{FAR}<img id=i width=480 height=360><script>new IntersectionObserver(e=>{{if(e[0].isIntersecting)i.src='/sought.png'}}).observe(i)</script>",
    "scroll event": f"{FAR}<div id=d></div><script>onscroll=()=>{{if(scrollY>2000&&!d.firstChild)d.innerHTML='<img src=/sought.png>'}}</script>",
    "taken away again": "<div id=d style=height:6000px><p>x</p></div><script>onscroll=()=>{d.innerHTML=scrollY>1500&&scrollY<3200?'<img src=/sought.png style=position:fixed;top:100px;left:100px>':''}</script>",
    "box of its own": f"<div style='height:1000px;overflow:auto'>{FAR}<img src=/sought.png></div>",
    "sideways": "<div style='width:600px;overflow-x:auto;white-space:nowrap'><span style='display:inline-block;width:2500px'>x</span><img src=/sought.png></div>",
    "more at the end": f"<div id=d>{FAR}</div><script>let n=0;onscroll=()=>{{if(n<2&&scrollY+innerHeight>document.body.scrollHeight-200){{n++;d.insertAdjacentHTML('beforeend',n==2?'<img src=/sought.png>':'<p style=height:1500px>more</p>')}}}}</script>",
}


def put_parts(internet: Internet) -> None:
    """What these pages load beside `/sought.png`."""
    internet.put("/scrambled", answer(bytes(one ^ 85 for one in SOUGHT), "application/octet-stream"))
    internet.put("/a.css", answer(f".b{{{SIZE};background:url(/sought.png)}}".encode(), "text/css"))
    internet.put("/inline.svg", answer((SVG % f'href="{DATA_URL}"').encode(), "image/svg+xml"))
    internet.page("/framed", "<img src=http://site.test/sought.png>", host="other.test")
    internet.page("/framed", "<img src=/sought.png>")
    internet.page("/outer", "<iframe src=http://cdn.test/inner width=600 height=500></iframe>", host="other.test")
    internet.page("/inner", "<img src=/sought.png>", host="cdn.test")

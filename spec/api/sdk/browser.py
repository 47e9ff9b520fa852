"""A browser of the poorest kind: cookies, redirects, links and forms, no JavaScript. Enough for the authorization pages."""
import html.parser
import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request


class Page(html.parser.HTMLParser):
    def __init__(self, url, text):
        super().__init__()
        self.url, self.links, self.forms, self._form = url, [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "a":
            self.links.append(urllib.parse.urljoin(self.url, attrs.get("href", "")))
        elif tag == "form":
            self._form = (urllib.parse.urljoin(self.url, attrs["action"]), {})
            self.forms.append(self._form)
        elif tag in ("input", "button") and self._form and attrs.get("name"):
            if tag == "input" or attrs.get("value") == "allow":
                self._form[1][attrs["name"]] = attrs.get("value", "")

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None

    def link(self, part):
        return next(link for link in self.links if part in link)


class Stop(urllib.request.HTTPRedirectHandler):
    """Follows redirects until one leads to the application."""

    def __init__(self, target):
        self.target, self.reached = target, None

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if newurl.startswith(self.target):
            self.reached = newurl
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def authorize(address, redirect_uri, *accounts):
    """Walks from the address an application sends its user to, to the code that comes back. An account is a provider and the fields of
    its sign-in; without fields one signs in at the provider itself, which agrees at once."""
    stop = Stop(redirect_uri)
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), stop, urllib.request.ProxyHandler({})
    )

    def load(url, data=None):
        encoded = urllib.parse.urlencode(data).encode() if data is not None else None
        try:
            with opener.open(url, encoded, timeout=30) as response:
                return Page(response.url, response.read().decode())
        except urllib.error.HTTPError as error:
            if stop.reached:
                return None
            raise AssertionError(f"{error.code}: {error.read().decode()[-1500:]}") from error

    page = load(address)
    for provider, fields in accounts:
        page = load(page.link("/add/" + provider))
        if fields is not None:
            action, values = page.forms[0]
            page = load(action, {**values, **fields})
    page = load(page.link("/consent"))
    load(*page.forms[0])
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(stop.reached).query)
    return query["code"][0], query.get("state", [None])[0]

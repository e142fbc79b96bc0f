// HTTP and SMTP against servers of a few lines.

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mman.h>

#include "http.hpp"
#include "tiny_server.hpp"

using namespace poster;

namespace {

constexpr const char* kToken = "/bot123456:SECRETSECRET/send";

// Answers each request with itself.
void echo(Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
        const bool head = request.starts_with("HEAD");
        peer.say("HTTP/1.1 200 OK\r\nX-Name: one\r\nContent-Length: " + std::to_string(request.size()) + "\r\n\r\n" +
                 (head ? "" : request));
    }
}

std::function<void(Peer&)> answers(std::string answer) {
    return [answer](Peer& peer) {
        while (!peer.read_request().empty()) peer.say(answer);
    };
}

HttpClient client(Milliseconds stall = Milliseconds{10'000}) {
    TransferOptions options;
    options.stall_timeout = stall;
    return HttpClient{options};
}

HttpRequest request(const TinyServer& server, const std::string& method, const std::string& path = "/a") {
    HttpRequest request;
    request.method = method;
    request.url = "http://" + server.host() + path;
    return request;
}

TransferError failure(HttpClient&& client, const HttpRequest& request) {
    try {
        client.perform(request);
    } catch (const TransferError& e) {
        return e;
    }
    FAIL("it did not fail");
    throw std::logic_error("not reached");
}

Fd file_of(const std::string& content) {
    Fd file{check_syscall("memfd", ::memfd_create("body", MFD_CLOEXEC))};
    write_all(file.get(), content);
    return file;
}

} // namespace

TEST_CASE("a request goes out as it is said, whatever its method") {
    const TinyServer server{echo};
    auto [method, body, length] = GENERATE(table<std::string, std::string, std::string>({
        {"GET", "", ""},
        {"DELETE", "", ""},
        {"PUT", "", "Content-Length: 0"},
        {"POST", "", "Content-Length: 0"},
        {"PUT", "some bytes", "Content-Length: 10"},
        {"POST", "some bytes", "Content-Length: 10"},
        {"PUT", std::string(3 << 20, 'x'), "Content-Length: 3145728"},
    }));
    HttpRequest it = request(server, method, "/a/../%2B%20?q=%C3%BC");
    it.body = body;
    it.headers = {{"X-Given", "value"}, {"X-Empty", ""}};
    std::uint64_t sent = 0;
    it.sent = [&sent](std::uint64_t bytes) { sent += bytes; };
    const HttpResponse answer = client().perform(it);
    CHECK(answer.status == 200);
    CHECK(answer.header("x-name") == "one");
    CHECK(answer.body.starts_with(method + " /a/../%2B%20?q=%C3%BC HTTP/1.1\r\n"));
    CHECK(answer.body.find("X-Given: value\r\n") != std::string::npos);
    CHECK(answer.body.find("X-Empty:\r\n") != std::string::npos);
    CHECK(answer.body.find(length) != std::string::npos);
    CHECK(answer.body.find("Expect:") == std::string::npos);
    CHECK(answer.body.find("Content-Type:") == std::string::npos);
    CHECK(answer.body.ends_with("\r\n\r\n" + body));
    CHECK(sent == body.size());
}

TEST_CASE("a slice of a file is sent, and one that is shorter than said is an error") {
    const TinyServer server{echo};
    const Fd file = file_of("0123456789");
    HttpRequest it = request(server, "PUT");
    it.file = file.get();
    it.offset = 3;
    it.length = 4;
    CHECK(client().perform(it).body.ends_with("\r\n\r\n3456"));
    it.length = 8;
    CHECK_THROWS_WITH(client().perform(it), "the file became shorter while it was sent");
}

TEST_CASE("a head has a length and no body") {
    const TinyServer server{echo};
    const HttpResponse answer = client().perform(request(server, "HEAD"));
    CHECK(std::stoi(answer.header("content-length")) > 0);
    CHECK(answer.body.empty());
}

TEST_CASE("a connection serves many requests") {
    const TinyServer server{echo};
    HttpClient one = client();
    for (int i = 0; i < 5; ++i) {
        CHECK(one.perform(request(server, "GET")).status == 200);
        HttpRequest put = request(server, "PUT");
        put.body = "x";
        CHECK(one.perform(put).status == 200);
    }
    CHECK(server.connections() == 1);
}

TEST_CASE("what is to be sent once is not sent again behind the caller's back") {
    std::atomic<int> requests{0};
    const TinyServer server{[&requests](Peer& peer) {
        while (!peer.read_request().empty()) {
            if (++requests > 1) return; // taken, and no answer
            peer.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    }};
    HttpClient one = client();
    HttpRequest it = request(server, "POST");
    it.body = "text";
    it.once = true;
    CHECK(one.perform(it).status == 200);
    try {
        one.perform(it);
        FAIL("there was no answer");
    } catch (const TransferError& e) {
        CHECK(e.passing());
        CHECK(e.perhaps_taken());
    }
    CHECK(requests == 2);
}

TEST_CASE("a form is sent in parts") {
    const TinyServer server{echo};
    HttpRequest it = request(server, "POST");
    it.form = {{"chat", "42", "", ""}, {"photo", std::string("\0png", 4), "a \"b\".png", "image/png"}};
    const std::string body = client().perform(it).body;
    CHECK(body.find("Content-Type: multipart/form-data; boundary=") != std::string::npos);
    CHECK(body.find("name=\"chat\"\r\n\r\n42\r\n") != std::string::npos);
    CHECK(body.find("name=\"photo\"; filename=\"a %22b%22.png\"\r\nContent-Type: image/png\r\n\r\n" +
                    std::string("\0png\r\n", 6)) != std::string::npos);
}

TEST_CASE("only the body of a success goes to the sink") {
    auto [status, sunk, kept] = GENERATE(table<std::string, std::string, std::string>({
        {"200 OK", "body", ""},
        {"206 Partial Content", "body", ""},
        {"301 Moved Permanently\r\nLocation: /b", "", "body"},
        {"404 Not Found", "", "body"},
    }));
    const TinyServer server{answers("HTTP/1.1 " + status + "\r\nContent-Length: 4\r\n\r\nbody")};
    std::string taken;
    HttpRequest it = request(server, "GET");
    it.received = [&taken](std::string_view bytes) { taken += bytes; };
    const HttpResponse answer = client().perform(it);
    CHECK(answer.status == std::stoi(status));
    CHECK(taken == sunk);
    CHECK(answer.body == kept);
}

TEST_CASE("what the sink throws goes through") {
    const TinyServer server{answers("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")};
    HttpRequest it = request(server, "GET");
    it.received = [](std::string_view) { throw Error("disk full"); };
    CHECK_THROWS_WITH(client().perform(it), "disk full");
}

TEST_CASE("an answer while the body is still being sent counts") {
    const TinyServer server{[](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        peer.read(200 << 20);
    }};
    HttpRequest it = request(server, "PUT");
    it.body = std::string(64 << 20, 'x');
    CHECK(client().perform(it).status == 403);
}

TEST_CASE("a connection that breaks is a passing trouble, told without the path") {
    auto serve = GENERATE(
        as<std::function<void(Peer&)>>{}, [](Peer&) {}, // closed at once
        [](Peer& peer) {
            peer.read_until("\r\n\r\n");
            peer.reset();
        },
        [](Peer& peer) {
            peer.read_request();
            peer.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        },
        [](Peer& peer) {
            peer.read_request();
            peer.say("not HTTP at all\r\n\r\n");
        });
    const TinyServer server{serve};
    HttpRequest it = request(server, "POST", kToken);
    it.body = std::string(4 << 20, 'x');
    const TransferError error = failure(client(), it);
    CAPTURE(error.what());
    CHECK(error.passing());
    CHECK(std::string{error.what()}.find("SECRET") == std::string::npos);
    CHECK(std::string{error.what()}.find(server.host()) != std::string::npos);
}

TEST_CASE("a refused connection and an unknown name are passing troubles") {
    int port = 0;
    {
        const TinyServer gone{echo};
        port = std::stoi(gone.host().substr(gone.host().find(':') + 1));
    }
    auto host = GENERATE_COPY(values<std::string>({"127.0.0.1:" + std::to_string(port), "no-such-host.invalid"}));
    HttpRequest it;
    it.url = "http://" + host + kToken;
    const TransferError error = failure(client(), it);
    CHECK(error.passing());
    CHECK(std::string{error.what()}.starts_with(host + ": "));
    CHECK(std::string{error.what()}.find("SECRET") == std::string::npos);
}

TEST_CASE("an address of another kind does not pass") {
    auto url = GENERATE(values<std::string>(
        {"ftp://127.0.0.1/SECRET", "file:///etc/SECRET", "smtp://h/SECRET", "http://:port/SECRET"}));
    HttpRequest it;
    it.url = url;
    const TransferError error = failure(client(), it);
    CHECK_FALSE(error.passing());
    CHECK_FALSE(error.help().empty());
    CHECK(std::string{error.what()}.find("SECRET") == std::string::npos);
}

TEST_CASE("a server that says nothing is given up, and so is a transfer that is called off") {
    std::atomic<bool> over{false};
    const TinyServer server{[&over](Peer& peer) {
        peer.read_until("\r\n\r\n");
        while (!over) std::this_thread::sleep_for(Milliseconds{5});
    }};
    const auto begun = std::chrono::steady_clock::now();
    const TransferError stalled = failure(client(Milliseconds{300}), request(server, "GET"));
    CHECK(stalled.passing());
    CHECK(std::string{stalled.what()}.find("no byte for") != std::string::npos);
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds{5});
    over = true;
    TransferOptions options;
    options.cancelled = [] { return true; };
    CHECK(std::string{failure(HttpClient{options}, request(server, "GET")).what()} == "cancelled");
}

TEST_CASE("control characters in a header are refused") {
    const TinyServer server{echo};
    HttpRequest it = request(server, "GET");
    it.headers = {{"X-A", "b\r\nX-C: d"}};
    CHECK_THROWS_WITH(client().perform(it), "the header X-A has a control character in it");
}

TEST_CASE("certificates that cannot be read are told with who named them") {
    TransferOptions options;
    options.ca_file = "/no/such/file.pem";
    CHECK_THROWS_WITH(HttpClient{options},
                      "cannot read the certificates in /no/such/file.pem: No such file or directory");
}

TEST_CASE("Retry-After is seconds or a date") {
    auto [value, least, most] = GENERATE(table<std::string, long, long>({
        {"7", 7000, 7000},
        {"0", 0, 0},
        {"Wed, 25 Nov 1998 17:22:46 GMT", 0, 0},
        {"Sun, 06 Nov 2033 08:49:37 GMT", 86'400'000, 600'000'000'000},
    }));
    HttpResponse response;
    response.headers = {{"retry-after", value}};
    REQUIRE(response.retry_after().has_value());
    CHECK(response.retry_after()->count() >= least);
    CHECK(response.retry_after()->count() <= most);
    response.headers = {{"retry-after", GENERATE(values<std::string>({"", "soon", "-3", "7 s"}))}};
    CHECK_FALSE(response.retry_after().has_value());
}

namespace {

struct MailScript {
    std::string rcpt = "250 ok", data = "354 go on", end = "250 queued as 1";
    Milliseconds thinks{0}; // before the end
};

// The server's side of one mail; `seen` gets the message.
std::function<void(Peer&)> mail_server(const MailScript& script, std::string& seen) {
    return [script, &seen](Peer& peer) {
        peer.say("220 here\r\n");
        for (std::string line; !(line = peer.read_until("\r\n")).empty();) {
            if (line.starts_with("EHLO"))
                peer.say("250-here\r\n250 8BITMIME\r\n");
            else if (line.starts_with("MAIL"))
                peer.say("250 ok\r\n");
            else if (line.starts_with("RCPT"))
                peer.say(script.rcpt + "\r\n");
            else if (line.starts_with("QUIT"))
                return peer.say("221 bye\r\n");
            else if (line.starts_with("DATA")) {
                peer.say(script.data + "\r\n");
                if (script.data[0] != '3') continue;
                seen = peer.read_until("\r\n.\r\n");
                std::this_thread::sleep_for(script.thinks);
                peer.say(script.end + "\r\n");
            } else
                peer.say("500 what?\r\n");
        }
    };
}

Mail mail_to(const TinyServer& server) {
    return {.server = "smtp://" + server.host(),
            .require_tls = false,
            .user = "",
            .password = "",
            .from = "a@x.org",
            .to = {"b@x.org", "c@x.org"},
            .message = "Subject: s\r\n\r\n.dot\r\n"};
}

} // namespace

TEST_CASE("the answer to a mail is the last reply, or the refusal that ended it") {
    auto [script, status, text] = GENERATE(table<MailScript, int, std::string>({
        {{}, 250, "queued as 1"},
        {{.rcpt = "550-no such\r\n550 user here"}, 550, "no such user here"},
        {{.rcpt = "451 come back later"}, 451, "come back later"},
        {{.data = "554 no"}, 554, "no"},
        {{.end = "552 too big"}, 552, "too big"},
    }));
    std::string seen;
    const TinyServer server{mail_server(script, seen)};
    const MailAnswer answer = send_mail(mail_to(server), {});
    CHECK(answer.status == status);
    CHECK(answer.text == text);
    if (status == 250) CHECK(seen == "Subject: s\r\n\r\n..dot\r\n.\r\n");
}

TEST_CASE("a server's word on a whole mail is waited for longer than a stalled one") {
    std::string seen;
    const TinyServer server{mail_server({.thinks = Milliseconds{1'500}}, seen)};
    TransferOptions options;
    options.stall_timeout = Milliseconds{300};
    CHECK_THROWS_AS(send_mail(mail_to(server), options), TransferError);
    options.answer_timeout = Milliseconds{60'000};
    CHECK(send_mail(mail_to(server), options).status == 250);
}

TEST_CASE("a mail is not sent in the clear unless that is asked for") {
    std::string seen;
    const TinyServer server{mail_server({}, seen)};
    Mail mail = mail_to(server);
    mail.require_tls = true;
    try {
        send_mail(mail, {});
        FAIL("it was sent");
    } catch (const TransferError& e) {
        CHECK_FALSE(e.passing());
        CHECK_FALSE(e.help().empty());
    }
    CHECK(seen.empty());
}

TEST_CASE("an address with a line break in it is refused") {
    std::string seen;
    const TinyServer server{mail_server({}, seen)};
    Mail mail = mail_to(server);
    mail.to[1] = "c@x.org>\r\nRSET";
    CHECK_THROWS_AS(send_mail(mail, {}), Error);
    CHECK(server.connections() == 0);
}

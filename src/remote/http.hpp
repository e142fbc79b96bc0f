#pragma once
// HTTP(S) and SMTP(S) by libcurl, the one file that knows it. The library is loaded at the first transfer: linked in,
// its thirty libraries would cost each start of poster 27 ms.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <error.hpp>
#include <poster/run.hpp>

namespace poster {

// No answer, or none that could be understood: name not found, refused, cut off, stalled, wrong certificate …
// The text holds no URL beyond host and port: a token may be part of it.
class TransferError : public Error {
public:
    TransferError(const std::string& what, std::string help, bool passing, bool perhaps_taken = false)
        : Error(what, std::move(help)), passing_(passing), perhaps_taken_(perhaps_taken) {}
    bool passing() const { return passing_; }             // false: the certificate, the name of the protocol …
    bool perhaps_taken() const { return perhaps_taken_; } // all was sent; the answer did not come

private:
    bool passing_, perhaps_taken_;
};

struct TransferOptions {
    std::string ca_file;     // empty: what the environment (POSTER_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE,
                             // REQUESTS_CA_BUNDLE, ca_variable) or the system gives
    std::string ca_variable; // one more variable that may name it: AWS_CA_BUNDLE
    Milliseconds connect_timeout{10'000};
    Milliseconds stall_timeout{30'000};         // without a byte in either direction
    std::optional<Milliseconds> answer_timeout; // the same once all of the body is sent, where it differs
    bool proxies = true;                        // of the environment
    std::function<bool()> cancelled;            // asked at least once a second; true: TransferError at once
};

// A piece of a form, as multipart/form-data.
struct FormPart {
    std::string name, content;   // content: of a field
    std::string file_name, type; // of a file: its content as well, with a name and a media type
};

struct HttpRequest {
    std::string method = "GET";
    std::string url; // encoded by the caller, and sent as it is
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;                     // or
    int file = -1;                        // a slice of an open file, by pread()
    std::uint64_t offset = 0, length = 0; // or
    std::vector<FormPart> form;
    std::function<void(std::uint64_t bytes)> sent;        // so many bytes more of the body
    std::function<void(std::string_view bytes)> received; // takes the body of a 2xx answer; others are in `body`
    // On a connection of its own: on a kept one that the server closes, libcurl sends a request again by itself.
    bool once = false;
};

struct HttpResponse {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers; // names in lower case
    std::string body;
    std::string header(std::string_view lower_case_name) const; // empty: there is none
    std::optional<Milliseconds> retry_after() const;            // seconds or a date
};

// "Wed, 25 Nov 2026 17:22:46 GMT"
std::optional<WallTime> parse_http_date(const std::string& text);

// One handle, whose connections are kept; of one thread at a time. Proxies are those of the environment.
class HttpClient {
public:
    // Throws Error where libcurl is not installed or the certificates cannot be read.
    explicit HttpClient(TransferOptions options);
    HttpClient(HttpClient&&) noexcept;
    HttpClient& operator=(HttpClient&&) noexcept;
    ~HttpClient();

    // Any status is an answer. No redirection is followed. Throws TransferError; what `sent` and `received` throw goes
    // through; Error where the file is shorter than it is said to be.
    HttpResponse perform(const HttpRequest& request);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

struct Mail {
    std::string server; // "smtp://host:587" (STARTTLS) or "smtps://host:465"
    bool require_tls = true;
    std::string user, password; // empty user: no AUTH
    std::string from;
    std::vector<std::string> to;
    std::string message; // header and body, lines ended by CR LF
};

struct MailAnswer {
    int status = 0;   // the last reply's code: 250, 451, 550 …
    std::string text; // of that reply
};

// Sent to all of them or to none: the first refusal ends it and is the answer. Throws TransferError where there was no
// reply to speak of, Error for an address with control characters in it.
MailAnswer send_mail(const Mail& mail, const TransferOptions& options);

} // namespace poster

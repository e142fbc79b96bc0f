#include "http.hpp"

#include <dlfcn.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>

#define CURL_DISABLE_DEPRECATION // CURLOPT_PROTOCOLS: its successor is younger than the libraries that may be found
#include <curl/curl.h>
#include <fmt/format.h>

#include <sigpipe.hpp>

namespace poster {

namespace {

using Clock = std::chrono::steady_clock;

// What of libcurl is used.
struct Library {
    decltype(&::curl_global_init) global_init = nullptr;
    decltype(&::curl_easy_init) easy_init = nullptr;
    decltype(&::curl_easy_setopt) easy_setopt = nullptr;
    decltype(&::curl_easy_getinfo) easy_getinfo = nullptr;
    decltype(&::curl_easy_perform) easy_perform = nullptr;
    decltype(&::curl_easy_reset) easy_reset = nullptr;
    decltype(&::curl_easy_cleanup) easy_cleanup = nullptr;
    decltype(&::curl_easy_strerror) easy_strerror = nullptr;
    decltype(&::curl_slist_append) slist_append = nullptr;
    decltype(&::curl_slist_free_all) slist_free_all = nullptr;
    decltype(&::curl_mime_init) mime_init = nullptr;
    decltype(&::curl_mime_addpart) mime_addpart = nullptr;
    decltype(&::curl_mime_name) mime_name = nullptr;
    decltype(&::curl_mime_data) mime_data = nullptr;
    decltype(&::curl_mime_filename) mime_filename = nullptr;
    decltype(&::curl_mime_type) mime_type = nullptr;
    decltype(&::curl_mime_free) mime_free = nullptr;
    decltype(&::curl_getdate) getdate = nullptr;
};

Library load_library() {
    void* handle = nullptr;
    for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"}) {
        if (handle == nullptr) handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    const std::string help = "install it: libcurl4 on Debian and Ubuntu, libcurl on Fedora and RHEL, curl on Arch";
    if (handle == nullptr) throw Error("libcurl.so.4, which transfers need, is not installed", help);
    Library lib;
    auto find = [&](auto& function, const char* symbol) {
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(handle, symbol));
        if (function == nullptr) throw Error("libcurl.so.4 is too old: it has no " + std::string{symbol}, help);
    };
    find(lib.global_init, "curl_global_init");
    find(lib.easy_init, "curl_easy_init");
    find(lib.easy_setopt, "curl_easy_setopt");
    find(lib.easy_getinfo, "curl_easy_getinfo");
    find(lib.easy_perform, "curl_easy_perform");
    find(lib.easy_reset, "curl_easy_reset");
    find(lib.easy_cleanup, "curl_easy_cleanup");
    find(lib.easy_strerror, "curl_easy_strerror");
    find(lib.slist_append, "curl_slist_append");
    find(lib.slist_free_all, "curl_slist_free_all");
    find(lib.mime_init, "curl_mime_init");
    find(lib.mime_addpart, "curl_mime_addpart");
    find(lib.mime_name, "curl_mime_name");
    find(lib.mime_data, "curl_mime_data");
    find(lib.mime_filename, "curl_mime_filename");
    find(lib.mime_type, "curl_mime_type");
    find(lib.mime_free, "curl_mime_free");
    find(lib.getdate, "curl_getdate");
    if (lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw Error("libcurl cannot be initialized");
    return lib;
}

const Library& curl() {
    static const Library library = load_library();
    return library;
}

struct FreeHandle {
    void operator()(CURL* handle) const { curl().easy_cleanup(handle); }
};
struct FreeList {
    void operator()(curl_slist* list) const { curl().slist_free_all(list); }
};
struct FreeForm {
    void operator()(curl_mime* form) const { curl().mime_free(form); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;
using List = std::unique_ptr<curl_slist, FreeList>;
using Form = std::unique_ptr<curl_mime, FreeForm>;

void append(List& list, const std::string& line) {
    curl_slist* longer = curl().slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    if (list == nullptr) list.reset(longer);
}

// "host:port" of a URL, without user, path and query.
std::string host_of(std::string_view url) {
    if (auto scheme = url.find("://"); scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
    url = url.substr(0, url.find_first_of("/?#"));
    if (auto at = url.rfind('@'); at != std::string_view::npos) url.remove_prefix(at + 1);
    return std::string{url};
}

// What libcurl says in detail, unless a part of the URL that may be secret is in it.
std::string detail_without_url(const std::string& detail, std::string_view url) {
    const std::size_t scheme = url.find("://");
    const std::size_t begin = url.find_first_of("/?", scheme == std::string_view::npos ? 0 : scheme + 3);
    if (begin == std::string_view::npos) return detail;
    for (std::size_t at = begin; at < url.size();) {
        const std::size_t end = std::min(url.find_first_of("/?&=", at + 1), url.size());
        const std::string_view part = url.substr(at + 1, end - at - 1);
        if (part.size() >= 8 && detail.find(part) != std::string::npos) return {};
        at = end;
    }
    return detail;
}

void refuse_control_characters(const std::string& text, const std::string& what) {
    for (const unsigned char c : text) {
        if (c < 0x20 || c == 0x7f) throw Error(what + " has a control character in it");
    }
}

// The file of the certificates to trust; empty: the library's own default.
std::string certificates(const TransferOptions& options) {
    auto readable = [](const std::string& path, const std::string& source) {
        if (::access(path.c_str(), R_OK) == 0) return path;
        throw Error("cannot read the certificates in " + path + ": " + std::strerror(errno),
                    "it is named by " + source);
    };
    if (!options.ca_file.empty()) return readable(options.ca_file, "the setting ca_file");
    for (const std::string& name :
         {std::string{"POSTER_CA_BUNDLE"}, std::string{"CURL_CA_BUNDLE"}, std::string{"SSL_CERT_FILE"},
          std::string{"REQUESTS_CA_BUNDLE"}, options.ca_variable}) {
        const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
        if (value != nullptr && *value != '\0') return readable(value, "the variable " + name);
    }
    for (const char* path :
         {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
          "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"}) {
        if (::access(path, R_OK) == 0) return path;
    }
    return {};
}

// One transfer: the handle's options, and what the callbacks of C fill in.
class Transfer {
public:
    Transfer(CURL* handle, const TransferOptions& options, const std::string& ca_file, std::string url)
        : handle_(handle), options_(options), url_(std::move(url)) {
        curl().easy_reset(handle);
        set(CURLOPT_URL, url_.c_str());
        set(CURLOPT_PATH_AS_IS, 1L);
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_ERRORBUFFER, detail_);
        set(CURLOPT_FOLLOWLOCATION, 0L);
        set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}); // one connection a handle anyway
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
        if (!ca_file.empty()) set(CURLOPT_CAINFO, ca_file.c_str());
        set(CURLOPT_CONNECTTIMEOUT_MS, long(options.connect_timeout.count()));
        set(CURLOPT_TCP_KEEPALIVE, 1L);
        if (!options.proxies) set(CURLOPT_NOPROXY, "*");
        set(CURLOPT_BUFFERSIZE, 256L << 10);
        set(CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
        set(CURLOPT_NOPROGRESS, 0L);
        set(CURLOPT_XFERINFOFUNCTION, &on_progress);
        set(CURLOPT_XFERINFODATA, this);
        set(CURLOPT_READFUNCTION, &on_read);
        set(CURLOPT_READDATA, this);
        set(CURLOPT_SEEKFUNCTION, &on_seek);
        set(CURLOPT_SEEKDATA, this);
        set(CURLOPT_WRITEFUNCTION, &on_write);
        set(CURLOPT_WRITEDATA, this);
        set(CURLOPT_HEADERFUNCTION, &on_header);
        set(CURLOPT_HEADERDATA, this);
    }

    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    // What the handle does later, such as taking its leave of a mail server, finds nothing of this transfer.
    ~Transfer() {
        curl().easy_reset(handle_);
        curl().easy_setopt(handle_, CURLOPT_SERVER_RESPONSE_TIMEOUT, 2L);
    }

    template <typename Value>
    void set(CURLoption option, Value value) {
        const CURLcode code = curl().easy_setopt(handle_, option, value);
        if (code != CURLE_OK) throw TransferError(curl().easy_strerror(code), {}, false);
    }

    // Throws what a callback threw. The code is for explain().
    CURLcode perform() {
        moved_at_ = Clock::now();
        const WithoutSigpipe guarded; // a TLS library may write to a connection that the other side has closed
        const CURLcode code = curl().easy_perform(handle_);
        if (thrown_) std::rethrow_exception(thrown_);
        return code;
    }

    [[noreturn]] void explain(CURLcode code) const;

    // Where the body comes from: `body`, or a slice of a file.
    std::string_view body;
    int file = -1;
    std::uint64_t offset = 0, length = 0;
    const std::function<void(std::uint64_t)>* sent = nullptr;
    const std::function<void(std::string_view)>* received = nullptr;
    HttpResponse response;
    std::string reply; // SMTP: the last one, without its code; its code is response.status

private:
    static constexpr std::size_t kMostBody = 64u << 20; // held in memory
    enum class Aborted { no, cancelled, stalled, too_long };

    template <typename Work>
    std::size_t guarded(Work work, std::size_t failed) {
        try {
            return work();
        } catch (...) {
            thrown_ = std::current_exception();
            return failed;
        }
    }

    static int on_progress(void* self, curl_off_t, curl_off_t down, curl_off_t all, curl_off_t up) {
        auto& transfer = *static_cast<Transfer*>(self);
        transfer.all_sent_ = all > 0 && up >= all;
        return int(transfer.guarded([&] { return transfer.abort_now(down, up) ? 1 : 0; }, 1));
    }
    bool abort_now(curl_off_t down, curl_off_t up) {
        if (down != down_ || up != up_) moved_at_ = Clock::now();
        down_ = down;
        up_ = up;
        if (options_.cancelled && options_.cancelled())
            aborted_ = Aborted::cancelled;
        else if (Clock::now() - moved_at_ > patience())
            aborted_ = Aborted::stalled;
        return aborted_ != Aborted::no;
    }

    Milliseconds patience() const {
        return all_sent_ && options_.answer_timeout ? *options_.answer_timeout : options_.stall_timeout;
    }

    static std::size_t on_read(char* into, std::size_t size, std::size_t count, void* self) {
        auto& transfer = *static_cast<Transfer*>(self);
        return transfer.guarded([&] { return transfer.read(into, size * count); }, CURL_READFUNC_ABORT);
    }
    std::size_t read(char* into, std::size_t room) {
        const std::uint64_t left = (file >= 0 ? length : body.size()) - at_;
        std::size_t got = std::min<std::uint64_t>(room, left);
        if (file < 0) {
            if (got > 0) std::memcpy(into, body.data() + at_, got);
        } else if (got > 0) {
            ssize_t read_now = 0;
            do read_now = ::pread(file, into, got, off_t(offset + at_));
            while (read_now < 0 && errno == EINTR);
            if (read_now < 0) throw_errno("read what is to be sent", errno);
            if (read_now == 0) throw Error("the file became shorter while it was sent");
            got = std::size_t(read_now);
        }
        at_ += got;
        if (at_ > told_) { // not again what is sent again
            if (sent != nullptr && *sent) (*sent)(at_ - told_);
            told_ = at_;
        }
        return got;
    }

    static int on_seek(void* self, curl_off_t to, int origin) {
        if (origin != SEEK_SET) return CURL_SEEKFUNC_FAIL;
        static_cast<Transfer*>(self)->at_ = std::uint64_t(to);
        return CURL_SEEKFUNC_OK;
    }

    static std::size_t on_write(char* bytes, std::size_t size, std::size_t count, void* self) {
        auto& transfer = *static_cast<Transfer*>(self);
        return transfer.guarded([&] { return transfer.take({bytes, size * count}); }, 0);
    }
    std::size_t take(std::string_view bytes) {
        moved_at_ = Clock::now();
        if (received != nullptr && *received && response.status / 100 == 2) {
            (*received)(bytes);
        } else if (response.body.size() + bytes.size() > kMostBody) {
            aborted_ = Aborted::too_long;
            return 0;
        } else {
            response.body += bytes;
        }
        return bytes.size();
    }

    static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* self) {
        auto& transfer = *static_cast<Transfer*>(self);
        return transfer.guarded([&] { return transfer.take_header({bytes, size * count}); }, 0);
    }
    std::size_t take_header(std::string_view line) {
        const std::size_t size = line.size();
        while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
        if (line.starts_with("HTTP/")) { // also after "100 Continue"
            response.headers.clear();
            const std::size_t space = std::min(line.find(' '), line.size() - 1);
            std::from_chars(line.data() + space + 1, line.data() + line.size(), response.status);
        } else if (url_.starts_with("smtp")) {
            take_reply(line);
        } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
            std::string name{line.substr(0, colon)};
            for (char& c : name) c = char(std::tolower(static_cast<unsigned char>(c)));
            line.remove_prefix(std::min(line.find_first_not_of(" \t", colon + 1), line.size()));
            response.headers.emplace_back(std::move(name), std::string{line});
        }
        return size;
    }
    // "550-No such" "550 user here": the lines of a reply, its last without the hyphen. The server's farewell, 221,
    // comes after the reply that ended it.
    void take_reply(std::string_view line) {
        int status = 0;
        const std::string_view digits = line.substr(0, 3);
        std::from_chars(digits.data(), digits.data() + digits.size(), status);
        if (status < 200 || status == 221) return;
        if (!more_follows_) reply.clear();
        more_follows_ = line.size() > 3 && line[3] == '-';
        response.status = status;
        if (line.size() > 4) reply += (reply.empty() ? "" : " ") + std::string{line.substr(4)};
    }

    CURL* handle_;
    const TransferOptions& options_;
    std::string url_;
    char detail_[CURL_ERROR_SIZE] = {};
    std::uint64_t at_ = 0, told_ = 0;
    curl_off_t down_ = 0, up_ = 0;
    bool all_sent_ = false; // the body
    Clock::time_point moved_at_;
    Aborted aborted_ = Aborted::no;
    bool more_follows_ = false;
    std::exception_ptr thrown_;
};

// What to do about a failure that does not pass by itself; empty: it does.
std::string help_for(CURLcode code) {
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return "name the authority that signed it by the setting ca_file or by POSTER_CA_BUNDLE, and see that this "
               "machine's clock and the host name are right";
    case CURLE_SSL_CACERT_BADFILE: return "the file of trusted certificates is not one of PEM certificates";
    case CURLE_USE_SSL_FAILED: return "the server offers no encryption on this port: try another, such as 587 or 465";
    case CURLE_UNSUPPORTED_PROTOCOL: return "its address begins with https://, http://, smtps:// or smtp://";
    case CURLE_URL_MALFORMAT: return "see whether its address is spelled right";
    default: return {};
    }
}

void Transfer::explain(CURLcode code) const {
    const std::string host = host_of(url_);
    if (aborted_ == Aborted::cancelled) throw TransferError("cancelled", {}, true, all_sent_);
    if (aborted_ == Aborted::stalled)
        throw TransferError(fmt::format("{}: no byte for {} s", host, patience().count() / 1000), {}, true, all_sent_);
    if (aborted_ == Aborted::too_long) throw TransferError(host + ": the answer is too long", {}, false);
    std::string why = detail_without_url(detail_, url_);
    if (why.empty()) why = curl().easy_strerror(code);
    if (code == CURLE_SSL_CONNECT_ERROR && why.find("wrong version number") != std::string::npos)
        why += " (it may speak without TLS on this port)";
    std::string help = help_for(code);
    if (why.find("HTTP/0.9") !=
        std::string::npos) { // it speaks something else, which libcurl takes for its oldest form
        why = "what it answers is not HTTP";
        help.clear();
    }
    const bool passing = help.empty();
    throw TransferError(host + ": " + why, std::move(help), passing, all_sent_);
}

Handle new_handle() {
    Handle handle{curl().easy_init()};
    if (!handle) throw std::bad_alloc();
    return handle;
}

List header_lines(const HttpRequest& request) {
    List lines;
    append(lines, "Expect:"); // no waiting for "100 Continue"
    bool typed = false;
    for (const auto& [name, value] : request.headers) {
        refuse_control_characters(name + value, "the header " + name);
        append(lines, value.empty() ? name + ";" : name + ": " + value);
        if (::strcasecmp(name.c_str(), "content-type") == 0) typed = true;
    }
    if (!typed && request.form.empty()) append(lines, "Content-Type:");
    return lines;
}

Form make_form(CURL* handle, const std::vector<FormPart>& parts) {
    Form form{curl().mime_init(handle)};
    for (const auto& [name, content, file_name, type] : parts) {
        curl_mimepart* part = curl().mime_addpart(form.get());
        curl().mime_name(part, name.c_str());
        curl().mime_data(part, content.data(), content.size());
        if (!file_name.empty()) curl().mime_filename(part, file_name.c_str());
        if (!type.empty()) curl().mime_type(part, type.c_str());
    }
    return form;
}

} // namespace

std::string HttpResponse::header(std::string_view lower_case_name) const {
    for (const auto& [name, value] : headers) {
        if (name == lower_case_name) return value;
    }
    return {};
}

std::optional<Milliseconds> HttpResponse::retry_after() const {
    const std::string value = header("retry-after");
    long seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error == std::errc{} && end == value.data() + value.size() && seconds >= 0)
        return std::chrono::seconds{std::min(seconds, 86'400L * 365)};
    const auto when = parse_http_date(value);
    if (!when) return {};
    const auto now = std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
    return std::max(*when - now, Milliseconds{0});
}

std::optional<WallTime> parse_http_date(const std::string& text) {
    const time_t seconds = text.empty() ? -1 : curl().getdate(text.c_str(), nullptr);
    if (seconds < 0) return {};
    return WallTime{std::chrono::seconds{seconds}};
}

struct HttpClient::Impl {
    TransferOptions options;
    std::string ca_file;
    Handle handle;
};

HttpClient::HttpClient(TransferOptions options)
    : impl_(std::make_unique<Impl>(Impl{std::move(options), {}, new_handle()})) {
    impl_->ca_file = certificates(impl_->options);
}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

HttpResponse HttpClient::perform(const HttpRequest& request) {
    CURL* handle = impl_->handle.get();
    Transfer transfer{handle, impl_->options, impl_->ca_file, request.url};
    transfer.set(CURLOPT_PROTOCOLS, long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
    transfer.set(CURLOPT_USERAGENT, "poster/" POSTER_VERSION);
    const List lines = header_lines(request);
    transfer.set(CURLOPT_HTTPHEADER, lines.get());
    Form form;
    if (!request.form.empty()) {
        form = make_form(handle, request.form);
        transfer.set(CURLOPT_MIMEPOST, form.get());
    } else if (request.method == "HEAD") {
        transfer.set(CURLOPT_NOBODY, 1L);
    } else if (request.method != "GET") {
        transfer.body = request.body;
        transfer.file = request.file;
        transfer.offset = request.offset;
        transfer.length = request.length;
        const bool has_body = request.method != "DELETE";
        const std::uint64_t size = request.file >= 0 ? request.length : request.body.size();
        if (has_body) transfer.set(CURLOPT_UPLOAD, 1L);
        if (has_body) transfer.set(CURLOPT_INFILESIZE_LARGE, curl_off_t(size));
        transfer.set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    if (request.once) {
        transfer.set(CURLOPT_FRESH_CONNECT, 1L);
        transfer.set(CURLOPT_FORBID_REUSE, 1L);
    }
    transfer.sent = &request.sent;
    transfer.received = &request.received;
    if (const CURLcode code = transfer.perform(); code != CURLE_OK) transfer.explain(code);
    return std::move(transfer.response);
}

MailAnswer send_mail(const Mail& mail, const TransferOptions& options) {
    for (const std::string& address : mail.to) refuse_control_characters(address, "a recipient's address");
    refuse_control_characters(mail.from, "the sender's address");
    const std::string ca_file = certificates(options);
    const Handle handle = new_handle();
    Transfer transfer{handle.get(), options, ca_file, mail.server};
    transfer.set(CURLOPT_PROTOCOLS, long{CURLPROTO_SMTP | CURLPROTO_SMTPS});
    transfer.set(CURLOPT_USE_SSL, long{mail.require_tls ? CURLUSESSL_ALL : CURLUSESSL_TRY});
    if (!mail.user.empty()) {
        transfer.set(CURLOPT_USERNAME, mail.user.c_str());
        transfer.set(CURLOPT_PASSWORD, mail.password.c_str());
    }
    transfer.set(CURLOPT_MAIL_FROM, mail.from.c_str());
    List recipients;
    for (const std::string& address : mail.to) append(recipients, address);
    transfer.set(CURLOPT_MAIL_RCPT, recipients.get());
    transfer.body = mail.message;
    transfer.set(CURLOPT_UPLOAD, 1L);
    transfer.set(CURLOPT_INFILESIZE_LARGE, curl_off_t(mail.message.size()));
    const CURLcode code = transfer.perform();
    if (code != CURLE_OK && transfer.response.status < 400) transfer.explain(code);
    return {transfer.response.status, transfer.reply};
}

} // namespace poster

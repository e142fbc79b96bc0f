#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "fd.hpp"
#include "link.hpp"

using namespace poster;

namespace {

struct Pair {
    Pair() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        left = Fd{ends[0]};
        right = Fd{ends[1]};
    }
    Fd left;
    Fd right;
};

} // namespace

TEST_CASE("a message arrives whole") {
    const Pair pair;
    const std::size_t length = GENERATE(std::size_t{0}, std::size_t{5}, kLinkText);
    LinkMessage got;
    CHECK(receive_message(pair.right.get(), got) == Receive::nothing);
    REQUIRE(
        send_message(pair.left.get(), {LinkKind::group_signal, -15, 812, 4'000'000'000U, std::string(length, 'x')}));
    REQUIRE(send_message(pair.left.get(), {.kind = LinkKind::hurry}));
    REQUIRE(receive_message(pair.right.get(), got) == Receive::message);
    CHECK(got.kind == LinkKind::group_signal);
    CHECK(got.number == -15);
    CHECK(got.pid == 812);
    CHECK(got.uid == 4'000'000'000U);
    CHECK(got.text == std::string(length, 'x'));
    REQUIRE(receive_message(pair.right.get(), got) == Receive::message);
    CHECK(got.kind == LinkKind::hurry);
    CHECK(got.text.empty());
}

TEST_CASE("the end of the other side is told and kills nobody") {
    Pair pair;
    pair.left.close();
    LinkMessage got;
    CHECK(receive_message(pair.right.get(), got) == Receive::closed);
    CHECK_FALSE(send_message(pair.right.get(), {.kind = LinkKind::done}));
}

TEST_CASE("a full queue is told and does not block") {
    const Pair pair;
    int sent = 0;
    while (sent < 100'000 && send_message(pair.left.get(), {.kind = LinkKind::done, .text = std::string(1000, 'x')}))
        ++sent;
    CHECK(sent > 0);
    CHECK(sent < 100'000);
}

TEST_CASE("the shared page is seen by a child") {
    SharedPage* page = map_shared_page();
    REQUIRE(page);
    CHECK(page->peak_memory_bytes == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        std::atomic_ref{page->peak_memory_bytes}.store(42);
        ::_exit(0);
    }
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK(std::atomic_ref{page->peak_memory_bytes}.load() == 42);
}

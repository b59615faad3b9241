/* Work for a C++ library: streams, numbers as text, strings, exceptions through its frames, threads. Prints the same each time. */
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <future>
#include <iomanip>
#include <iostream>
#include <list>
#include <locale>
#include <map>
#include <memory>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct Failure : std::runtime_error {
  explicit Failure(int depth) : std::runtime_error("depth " + std::to_string(depth)) {}
};

int sink(int depth) {
  if (depth == 0) throw Failure(depth);
  std::vector<std::string> held(3, std::string(30, 'x'));
  try {
    return sink(depth - 1) + static_cast<int>(held.size());
  } catch (const Failure &) {
    if (depth % 3 == 0) throw;
    throw Failure(depth);
  }
}

void texts() {
  std::ostringstream out;
  for (int i = 0; i < 200; i++) {
    out << std::setw(6) << std::setfill('.') << i << ' ' << std::hex << i * 7 << std::dec << ' ' << std::fixed
        << std::setprecision(i % 9) << i / 7.0 << ' ' << std::scientific << i * 1e30 << ' ' << std::boolalpha
        << (i % 2 == 0) << '\n';
  }
  std::istringstream in(out.str());
  std::map<std::string, int> words;
  for (std::string word; in >> word;) words[word.substr(0, 3)]++;
  std::cout << words.size() << ' ' << out.str().size() << ' ' << words.begin()->first << '\n';
  std::string text = "the quick brown fox";
  text.insert(3, " very").append(5, '!').replace(0, 3, "one").erase(4, 2);
  std::cout << text << ' ' << text.find("brown") << ' ' << text.rfind('o') << ' ' << std::stod("3.25") * std::stoi("12")
            << '\n';
  std::wostringstream wide;
  wide << L"wide " << 12.5 << L' ' << std::wstring(4, L'w');
  std::cout << wide.str().size() << '\n';
}

void containers() {
  std::mt19937 random(5);
  std::vector<int> numbers(2000);
  for (int &number : numbers) number = static_cast<int>(random() % 1000);
  std::stable_sort(numbers.begin(), numbers.end());
  std::set<int> distinct(numbers.begin(), numbers.end());
  std::unordered_map<std::string, int> counts;
  for (int number : numbers) counts[std::to_string(number % 50)]++;
  std::list<int> list(distinct.begin(), distinct.end());
  list.sort(std::greater<int>());
  std::deque<std::string> deque;
  for (int number : list) deque.push_front(std::to_string(number));
  std::cout << distinct.size() << ' ' << counts["7"] << ' ' << deque.front() << ' ' << list.front() << '\n';
  std::regex pattern("([a-z]+)-([0-9]+)");
  std::cout << std::regex_replace(std::string("abc-12 de-3 f-"), pattern, std::string("$2:$1")) << '\n';
}

void failures() {
  int caught = 0;
  for (int depth = 0; depth < 12; depth++) {
    try {
      sink(depth);
    } catch (const std::exception &failure) {
      caught++;
      std::cout << failure.what() << ' ';
    }
  }
  try {
    std::string().at(3);
  } catch (const std::out_of_range &failure) {
    std::cout << "out of range ";
  }
  try {
    (void)std::stoi("none");
  } catch (const std::invalid_argument &failure) {
    std::cout << failure.what() << ' ';
  }
  std::exception_ptr kept;
  try {
    throw Failure(99);
  } catch (...) {
    kept = std::current_exception();
  }
  try {
    std::rethrow_exception(kept);
  } catch (const Failure &failure) {
    std::cout << failure.what() << ' ' << caught << '\n';
  }
}

void threads() {
  std::vector<std::future<long>> answers;
  for (long part = 0; part < 4; part++) {
    answers.push_back(std::async(std::launch::async, [part] {
      std::ostringstream out;
      for (long i = 0; i < 300; i++) out << part * i << ',';
      if (part == 3) throw Failure(3);
      return static_cast<long>(out.str().size());
    }));
  }
  for (auto &answer : answers) {
    try {
      std::cout << answer.get() << ' ';
    } catch (const Failure &failure) {
      std::cout << failure.what() << '\n';
    }
  }
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  texts();
  containers();
  failures();
  threads();
  std::cout.flush();
  return 7;
}

#include "tests/programs/ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "nn/ops/dropout.h"
#include "tests/programs/values.h"

namespace retape::programs {
namespace {

using nn::bits;
using nn::Context;
using nn::Cost;
using nn::Gradients;
using nn::Inputs;
using nn::OpTraits;
using nn::Outputs;
using nn::Reads;
using nn::Saved;
using nn::Shape;
using nn::Tensor;

struct NoArgs {};

float softsign(float x) {
  return x / (1 + std::abs(x));
}
float softsign_slope(float y) {
  return (1 - std::abs(y)) * (1 - std::abs(y));
}

template <class T>
struct Elementwise {
  using Args = NoArgs;
  static Cost cost(const NoArgs& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
};

struct Scale : Elementwise<Scale> {
  static constexpr OpTraits kTraits{.name = "scale"};
  static constexpr std::array<std::string_view, 1> kOutputs{"scale"};
  static Reads reads(const NoArgs& /*args*/) { return {}; }
  static Outputs forward(Context& context, const NoArgs& /*args*/, const Inputs& inputs) {
    const Tensor& x = inputs[0];
    return {made(context, x.shape(), x.dtype(), [&] { return scaled(x); })};
  }
  static void backward(Context& context, const NoArgs& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
    give(context, gradients, 0, [&] { return scaled(gradients.dout(0)); });
  }
  static Values scaled(const Tensor& x) {
    return map(read(x), [](float v) { return 0.75F * v; });
  }
};

struct Resize {
  static constexpr OpTraits kTraits{.name = "resize"};
  static constexpr std::array<std::string_view, 1> kOutputs{"resize"};
  struct Args {
    int from;
    int to;
  };
  static Cost cost(const Args& args, std::span<const Shape> /*inputs*/) { return {.flops = args.to}; }
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs) {
    return {made(context, Shape{args.to}, inputs[0].dtype(), [&] {
      return zip(Values(static_cast<std::size_t>(args.to)), read(inputs[0]), [](float, float x) { return x; });
    })};
  }
  static void backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
    give(context, gradients, 0, [&] { return fold(read(gradients.dout(0)), static_cast<std::size_t>(args.from)); });
  }
};

struct Square : Elementwise<Square> {
  static constexpr OpTraits kTraits{.name = "square"};
  static constexpr std::array<std::string_view, 1> kOutputs{"square"};
  static Reads reads(const NoArgs& /*args*/) { return {.inputs = bits({0}), .outputs = 0}; }
  static Outputs forward(Context& context, const NoArgs& /*args*/, const Inputs& inputs) {
    const Tensor& x = inputs[0];
    return {made(context, x.shape(), x.dtype(), [&] { return map(read(x), [](float v) { return v - v * v / 4; }); })};
  }
  static void backward(Context& context, const NoArgs& /*args*/, const Saved& saved, Gradients& gradients) {
    give(context, gradients, 0, [&] {
      return zip(read(gradients.dout(0)), read(saved.inputs[0]), [](float d, float x) { return d * (1 - x / 2); });
    });
  }
};

struct Softsign : Elementwise<Softsign> {
  static constexpr OpTraits kTraits{.name = "softsign"};
  static constexpr std::array<std::string_view, 1> kOutputs{"softsign"};
  static Reads reads(const NoArgs& /*args*/) { return {.inputs = 0, .outputs = bits({0})}; }
  static Outputs forward(Context& context, const NoArgs& /*args*/, const Inputs& inputs) {
    const Tensor& x = inputs[0];
    return {made(context, x.shape(), x.dtype(), [&] { return map(read(x), softsign); })};
  }
  static void backward(Context& context, const NoArgs& /*args*/, const Saved& saved, Gradients& gradients) {
    give(context, gradients, 0, [&] {
      return zip(read(gradients.dout(0)), read(saved.outputs[0]),
                 [](float d, float y) { return d * softsign_slope(y); });
    });
  }
};

struct Head : Elementwise<Head> {
  static constexpr OpTraits kTraits{.name = "head", .keep_saved = true};
  static constexpr std::array<std::string_view, 2> kOutputs{"head", "head_gradient"};
  static Reads reads(const NoArgs& /*args*/) { return {.inputs = 0, .outputs = bits({1})}; }
  static Outputs forward(Context& context, const NoArgs& /*args*/, const Inputs& inputs) {
    const Tensor& x = inputs[0];
    Tensor y = made(context, x.shape(), x.dtype(), [&] { return map(read(x), [](float v) { return v * v / 2; }); });
    Tensor slope = inputs.recording ? made(context, x.shape(), nn::DType::f32, [&] { return read(x); }) : Tensor();
    return {std::move(y), std::move(slope)};
  }
  static void backward(Context& context, const NoArgs& /*args*/, const Saved& saved, Gradients& gradients) {
    give(context, gradients, 0,
         [&] { return zip(read(gradients.dout(0)), read(saved.outputs[1]), std::multiplies<>()); });
  }
};

struct Alias : Elementwise<Alias> {
  static constexpr OpTraits kTraits{.name = "alias"};
  static constexpr std::array<std::string_view, 1> kOutputs{"alias"};
  static Reads reads(const NoArgs& /*args*/) { return {}; }
  static Outputs forward(Context& /*context*/, const NoArgs& /*args*/, const Inputs& inputs) { return {inputs[0]}; }
  static void backward(Context& /*context*/, const NoArgs& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
    if (gradients.wants(0)) {
      gradients.give(0, gradients.take_dout(0));
    }
  }
};

struct Share {
  static constexpr OpTraits kTraits{.name = "share", .collective = true};
  static constexpr std::array<std::string_view, 1> kOutputs{"share"};
  struct Args {
    const parallel::Group* group;
  };
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs) {
    const Tensor& x = inputs[0];
    Tensor y = made(context, x.shape(), x.dtype(), [&] { return shared(args, x); });
    args.group->all_reduce_sum(y);
    return {std::move(y)};
  }
  static void backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
    give(context, gradients, 0, [&] { return shared(args, gradients.dout(0)); });
  }
  static Values shared(const Args& args, const Tensor& x) {
    const float share = 1.0F / static_cast<float>(args.group->size());
    return map(read(x), [share](float v) { return share * v; });
  }
};

struct Centre : Elementwise<Centre> {
  static constexpr OpTraits kTraits{.name = "centre"};
  static constexpr std::array<std::string_view, 3> kOutputs{"centre", "mean", "factor"};
  static constexpr std::array<nn::Rebuild, 1> kRebuilds{
      nn::Rebuild{.output = 0, .from = {.inputs = bits({0}), .outputs = bits({1, 2})}, .flops_per_elem = 1}};
  static Reads reads(const NoArgs& /*args*/) { return {.inputs = bits({0}), .outputs = bits({1, 2})}; }
  static Outputs forward(Context& context, const NoArgs& /*args*/, const Inputs& inputs) {
    const Tensor& x = inputs[0];
    Tensor mean = made(context, Shape{}, nn::DType::f32, [&] {
      const Values v = read(x);
      return Values{std::accumulate(v.begin(), v.end(), 0.0F) / static_cast<float>(v.size())};
    });
    Tensor factor = made(context, Shape{}, nn::DType::f32, [&] { return Values{1 + read(mean)[0] / 4}; });
    Tensor y = centred(context, x, mean, factor);
    return {std::move(y), std::move(mean), std::move(factor)};
  }
  static Tensor rebuild(Context& context, const NoArgs& /*args*/, int /*output*/, const Saved& saved) {
    return centred(context, saved.inputs[0], saved.outputs[1], saved.outputs[2]);
  }
  static Tensor centred(Context& context, const Tensor& x, const Tensor& mean, const Tensor& factor) {
    return made(context, x.shape(), x.dtype(), [&] {
      return map(read(x), [m = read(mean)[0], f = read(factor)[0]](float v) { return (v - m) * f; });
    });
  }
  static void backward(Context& context, const NoArgs& /*args*/, const Saved& saved, Gradients& gradients) {
    give(context, gradients, 0, [&] {
      const Values x = read(saved.inputs[0]);
      const Values d = read(gradients.dout(0));
      const float mean = read(saved.outputs[1])[0];
      const float factor = read(saved.outputs[2])[0];
      float of_mean = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        of_mean += d[i] * ((x[i] - mean) / 4 - factor);
      }
      return map(d, [&](float v) { return v * factor + of_mean / static_cast<float>(x.size()); });
    });
  }
};

struct Add : Elementwise<Add> {
  static constexpr OpTraits kTraits{.name = "add"};
  static constexpr std::array<std::string_view, 1> kOutputs{"add"};
  struct Args {
    int second;  // elements of b
  };
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
    return {made(context, inputs[0].shape(), inputs[0].dtype(),
                 [&] { return zip(read(inputs[0]), read(inputs[1]), [](float a, float b) { return (a + b) / 2; }); })};
  }
  static void backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
    const auto half = [&] { return map(read(gradients.dout(0)), [](float d) { return d / 2; }); };
    give(context, gradients, 0, half);
    give(context, gradients, 1, [&] { return fold(half(), static_cast<std::size_t>(args.second)); });
  }
};

struct Times : Elementwise<Times> {
  static constexpr OpTraits kTraits{.name = "times"};
  static constexpr std::array<std::string_view, 1> kOutputs{"times"};
  static Reads reads(const NoArgs& /*args*/) { return {.inputs = bits({0, 1}), .outputs = 0}; }
  static Outputs forward(Context& context, const NoArgs& /*args*/, const Inputs& inputs) {
    return {made(context, inputs[0].shape(), inputs[0].dtype(),
                 [&] { return zip(read(inputs[0]), read(inputs[1]), std::multiplies<>()); })};
  }
  static void backward(Context& context, const NoArgs& /*args*/, const Saved& saved, Gradients& gradients) {
    const auto times = [&](int i) {
      return zip(read(gradients.dout(0)), read(saved.inputs[static_cast<std::size_t>(i)]), std::multiplies<>());
    };
    give(context, gradients, 0, [&] { return times(1); });
    give(context, gradients, 1, [&] { return fold(times(0), static_cast<std::size_t>(saved.inputs[1].elems())); });
  }
};

struct Gate : Elementwise<Gate> {
  static constexpr OpTraits kTraits{.name = "gate"};
  static constexpr std::array<std::string_view, 2> kOutputs{"gate", "pre_gate"};
  static constexpr std::array<nn::Rebuild, 1> kRebuilds{
      nn::Rebuild{.output = 0, .from = {.inputs = 0, .outputs = bits({1})}, .flops_per_elem = 1}};
  static Reads reads(const NoArgs& /*args*/) { return {.inputs = bits({0, 1}), .outputs = bits({1})}; }
  static Outputs forward(Context& context, const NoArgs& args, const Inputs& inputs) {
    Tensor product = std::move(Times::forward(context, args, inputs).front());
    Tensor y = gated(context, product);
    return {std::move(y), std::move(product)};
  }
  static Tensor rebuild(Context& context, const NoArgs& /*args*/, int /*output*/, const Saved& saved) {
    return gated(context, saved.outputs[1]);
  }
  static Tensor gated(Context& context, const Tensor& product) {
    return made(context, product.shape(), product.dtype(), [&] { return map(read(product), softsign); });
  }
  static void backward(Context& context, const NoArgs& /*args*/, const Saved& saved, Gradients& gradients) {
    const auto times = [&](int i) {
      const Values d = zip(read(gradients.dout(0)), read(saved.outputs[1]),
                           [](float v, float p) { return v * softsign_slope(softsign(p)); });
      return zip(d, read(saved.inputs[static_cast<std::size_t>(i)]), std::multiplies<>());
    };
    give(context, gradients, 0, [&] { return times(1); });
    give(context, gradients, 1, [&] { return fold(times(0), static_cast<std::size_t>(saved.inputs[1].elems())); });
  }
};

struct Loss : Elementwise<Loss> {
  static constexpr OpTraits kTraits{.name = "loss"};
  static constexpr std::array<std::string_view, 1> kOutputs{"loss"};
  struct Args {
    int elems;
  };
  static Cost cost(const Args& args, std::span<const Shape> /*inputs*/) { return {.flops = args.elems}; }
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
    return {made(context, Shape{}, nn::DType::f32, [&] {
      const Values x = read(inputs[0]);
      const Values w = weights(x.size());
      return Values{std::inner_product(x.begin(), x.end(), w.begin(), 0.0F)};
    })};
  }
  static void backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
    give(context, gradients, 0, [&] {
      return map(weights(static_cast<std::size_t>(args.elems)),
                 [d = read(gradients.dout(0))[0]](float w) { return d * w; });
    });
  }
  static Values weights(std::size_t count) {
    Values weights(count);
    for (std::size_t i = 0; i < count; ++i) {
      weights[i] = (1 + static_cast<float>(i % 7)) / static_cast<float>(4 * count);
    }
    return weights;
  }
};

struct Sum : Elementwise<Sum> {
  static constexpr OpTraits kTraits{.name = "sum"};
  static constexpr std::array<std::string_view, 1> kOutputs{"sum"};
  static Reads reads(const NoArgs& /*args*/) { return {}; }
  static Outputs forward(Context& context, const NoArgs& /*args*/, const Inputs& inputs) {
    return {
        made(context, Shape{}, nn::DType::f32, [&] { return zip(read(inputs[0]), read(inputs[1]), std::plus<>()); })};
  }
  // Both share the memory of dout.
  static void backward(Context& /*context*/, const NoArgs& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
    for (const int i : {0, 1}) {
      if (gradients.wants(i)) {
        gradients.give(i, gradients.dout(0));
      }
    }
  }
};

}  // namespace

nn::Var run_op(nn::Tape& tape, const Statement& statement, std::span<const nn::Var> inputs,
               const parallel::Group& group) {
  const nn::Var& x = inputs[0];
  const std::string_view name = kNames[static_cast<std::size_t>(statement.choice)];
  const auto elems = [](const nn::Var& v) { return static_cast<int>(v.shape().elems()); };
  const auto one = [&]<class Op>(const typename Op::Args& args) { return tape.run<Op>(args, {x}, name); };
  const auto two = [&]<class Op>(const typename Op::Args& args) { return tape.run<Op>(args, {x, inputs[1]}, name); };
  switch (statement.op) {
    case OpKind::scale: return one.operator()<Scale>({});
    case OpKind::resize: return one.operator()<Resize>({elems(x), statement.elems});
    case OpKind::square: return one.operator()<Square>({});
    case OpKind::softsign: return one.operator()<Softsign>({});
    case OpKind::head: return one.operator()<Head>({});
    case OpKind::alias: return one.operator()<Alias>({});
    case OpKind::share: return one.operator()<Share>({&group});
    case OpKind::centre: return one.operator()<Centre>({});
    case OpKind::dropout: return nn::dropout(tape, x, kDropout, name);
    case OpKind::dropout_residual: {
      const nn::Var residual =
          inputs[1].shape() == x.shape() ? inputs[1] : tape.run<Resize>({elems(inputs[1]), elems(x)}, {inputs[1]});
      return nn::dropout_residual(tape, x, residual, kDropout, name);
    }
    case OpKind::add: return two.operator()<Add>({elems(inputs[1])});
    case OpKind::times: return two.operator()<Times>({});
    case OpKind::gate: return two.operator()<Gate>({});
  }
  fail("[programs] unknown op {}", static_cast<int>(statement.op));
}

nn::Var run_loss(nn::Tape& tape, const nn::Var& value) {
  return tape.run<Loss>({static_cast<int>(value.shape().elems())}, {value});
}

nn::Var run_sum(nn::Tape& tape, const nn::Var& a, const nn::Var& b) {
  return tape.run<Sum>({}, {a, b});
}

}  // namespace retape::programs

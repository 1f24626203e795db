"""What a reader must know before the tables of a task, by the title of the group."""

TEXTS: dict[str, tuple[str, ...]] = {
    "Restoration": (
        "Compare means by PSNR and draws by FD domain and CRPS: a draw of a calibrated model has twice the squared error of "
        "the posterior mean, 3 dB less, and looks real where the mean is blurred. The row of test images has the FD domain "
        "that a perfect restoration would get with as many images.",
    ),
    "Imputation": (
        "CRPS orders the table, in standard deviations of the columns; for a method that gives one value it is the absolute "
        "error. RMSE favours means: a single draw of a calibrated method has about 1.4 times theirs, which is no fault.",
    ),
    "Anomaly": (
        "Other data is positive, and a higher score is more anomalous: 0.5 tells nothing, below it the other data looks more "
        "normal than the model's own. No example of the other data took part in any choice.",
        "The known failure: the likelihood of a model that predicts pixels from their neighbours is higher for simpler images, "
        "whatever they show (Nalisnick et al. 2018, arXiv 1810.09136). Trained on Fashion-MNIST, it calls MNIST more normal "
        "than clothes, because digits on black are simpler: a PNG file of them has 2.8 bits per pixel, of clothes 5.2. So it "
        "orders images as a codec does (Serra et al. 2019, arXiv 1909.11480). A full-covariance Gaussian does not fail there: "
        "its likelihood depends on where ink is usual.",
        "Complexity subtracts the bits of a codec from those of the model. The codec alone, its negative length, tells MNIST "
        "from Fashion-MNIST with an AUROC of about 0.99, and a Gaussian less a codec with more. A complexity score adds "
        "something only above the best of these rows; else its line says that it adds nothing.",
    ),
    "Disentanglement": (
        "Compare with the row of true factors, which is not 1 everywhere: SAP asks a line to tell many values apart. The row "
        "of rotated factors has all information and no code with a factor of its own. MIG, SAP, DCI and IRS see that; the "
        "FactorVAE and BetaVAE scores, modularity and explicitness hardly do, so a high value of these alone says little.",
        "Numbers of one run say little too: the seed and the weights of the terms decide more than the objective does "
        "(Locatello et al. 2019, arXiv 1811.12359). Train several seeds, and read the intervals over them.",
    ),
    "Augmentation": (
        "NAS is the accuracy with real and synthetic images, CAS with synthetic ones alone, after equally many steps. A model "
        "helps where its NAS is above that of the row real, and is worth its training above real + shift and class Gaussian.",
    ),
    "Editing": (
        "Read target / leak together with FD domain: adding a mean difference to the pixels changes a measure very well, and "
        "the images no longer look like any. A good edit has a high ratio, a distance to the original below 1, and an FD "
        "domain near that of real images.",
    ),
    "Interpolation": (
        "Halfway images of a good model are more like test images than the blend of the pixels is. Compare FD domain with the "
        "row of real images, as many of them: it is biased upwards by their small number.",
    ),
    "Inversion": (
        "The round trip is what encoding and decoding loses. A code with a mean square below 1 lies nearer to the centre than "
        "draws of N(0, I) do.",
    ),
    "Composition": (
        "Pictures of prompts, judged by the data set: the share that shows what is asked for, the mean over the tasks first. "
        "The row unconditional has training images, whatever is asked for; the memoriser has for each prompt the training "
        "image whose caption is most like it, so prompts that training never shows are out of its reach. Other things may be "
        "in a picture too, unless the text counts or says only. Lenient reads blurred and faded pictures; unread parts are "
        "what the judge takes for no object. s is the strength of guidance, chosen on captions of validation images.",
    ),
    "Representation": (
        "Probes on codes that were learnt without labels: a linear classifier, nearest neighbours, and few labels. Layer, "
        "noise level and penalty are chosen on validation examples. A code that beats neither PCA-32 by its neighbours nor "
        "random ReLU 512 by the linear probe has learnt nothing that pixels do not give: its line says that it adds nothing. "
        "The row of supervised features is what labels buy. One protocol is not enough: a code may be good for a line and bad "
        "for neighbours.",
    ),
    "Guidance": (
        "Samples of the labels of test images. FD joint, of images together with their labels, orders the table: class "
        "accuracy alone is highest for one clear image of each label again and again, and FD domain does not see that labels "
        "are ignored (the row of shuffled labels). s is the strength of guidance: 0 without the label, 1 the conditional "
        "model; more buys accuracy with recall. All lines have as many images, against the same other test images. Of "
        "attributes the accuracy is the mean balanced one: 1/2 where they are ignored.",
    ),
    "Sdedit": (
        "t0 is the amount of noise: from like the guide to like the data. A good model is far below the guide in FD domain "
        "while it stays nearer to the guide than the nearest training image.",
    ),
}
